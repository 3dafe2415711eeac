/** `npm run dev`: the Worker on this machine, with a secret and an API key of its own. Prints one line once a request succeeds. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { DEFAULT_TENANT } from "../shared/api/keys.ts";
import { AerieError, OptionError } from "../shared/errors.ts";
import { addKey } from "./admin-client.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const secretsFile = join(root, ".dev.vars"); // wrangler hands it to the Worker
const keyFile = join(root, ".wrangler/dev-key"); // beside the local database that knows its hash

const DEFAULT_PORT = 8787;
const HOST = "127.0.0.1";

// Starting takes 2 to 8 s; on a busy machine more.
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 200;

// No metrics, no request for `Request.cf`; tracing and the explorer would make every call to an object 3 to 12 times slower.
const quiet = {
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
};

try {
  await dev();
} catch (error) {
  process.stderr.write(`aerie: ${error instanceof AerieError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof OptionError ? 2 : 1;
}

async function dev(): Promise<void> {
  const port = parsePort(process.env.PORT);
  await checkFree(port);
  const secret = await localSecret();
  const url = `http://${HOST}:${port}`;

  const child = startWrangler(port);
  const ended = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
  let isStopping = false;
  const stop = () => {
    isStopping = true;
    child.kill("SIGTERM"); // it ends its own children
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    const key = await Promise.race([
      ready(url, secret),
      ended.then(() => {
        throw new AerieError("dev.ended", "the local runtime ended before it was ready: the lines above say why");
      }),
    ]);
    process.stdout.write(`Aerie ready on ${url} · key ${key}\n`);
    process.exitCode = await ended;
  } catch (error) {
    if (!isStopping) throw error;
  } finally {
    stop();
    await ended;
  }
  if (isStopping) process.exitCode = 0;
}

function parsePort(text: string | undefined): number {
  if (!text) return DEFAULT_PORT;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new OptionError("PORT", `PORT: expected a whole number from 1 to 65535, found ${JSON.stringify(text)}`);
  return port;
}

/** wrangler would choose another port without a word. */
async function checkFree(port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, HOST, resolve));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const sentence =
      code === "EADDRINUSE"
        ? `port ${port} is taken: end what listens there, or choose another one with PORT=${port === 65_535 ? port - 1 : port + 1} npm run dev`
        : `port ${port} can't be listened on (${message}): choose another one with PORT=… npm run dev`;
    throw new AerieError("dev.port", sentence, { cause });
  }
  await new Promise((resolve) => server.close(resolve));
}

/** The secret in .dev.vars, made there on the first start. */
async function localSecret(): Promise<string> {
  const text = await readIfThere(secretsFile);
  const found = parseEnv(text).AERIE_SECRET;
  if (found) return found;
  const secret = randomBytes(32).toString("hex");
  const line = text === "" || text.endsWith("\n") ? "" : "\n";
  await writeFile(secretsFile, `${text}${line}AERIE_SECRET=${secret}\n`, { mode: 0o600 });
  return secret;
}

function startWrangler(port: number): ChildProcess {
  const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
  const args = [
    "dev",
    "--ip",
    HOST,
    "--port",
    `${port}`,
    "--log-level",
    "warn",
    "--show-interactive-dev-session=false",
  ];
  return spawn(process.execPath, [wrangler, ...args], {
    cwd: root,
    env: { ...process.env, ...quiet },
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/** Waits until the server generates a token for a key, which it returns. */
async function ready(url: string, secret: string): Promise<string> {
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  while (!(await isListening(url))) {
    if (Date.now() > deadlineMs)
      throw new AerieError(
        "dev.timeout",
        `${url}/health did not answer within ${START_TIMEOUT_MS / 1000} s: try again`,
      );
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  let key = (await readIfThere(keyFile)).trim();
  let reply = key ? await complete(url, key) : null;
  if (!reply || reply.status === 401) {
    // No key yet, or one that another secret or database knew.
    ({ key } = await addKey(url, secret, { name: "npm run dev", tenant: DEFAULT_TENANT }));
    await mkdir(dirname(keyFile), { recursive: true });
    await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
    reply = await complete(url, key);
  }
  if (reply.status === 200) return key;
  throw new AerieError("dev.request", `a first request failed with status ${reply.status}: ${await reply.text()}`);
}

async function isListening(url: string): Promise<boolean> {
  const reply = await fetch(`${url}/health`).catch(() => null);
  return reply?.ok ?? false;
}

/** One token of the default model, for which its weights are loaded. */
function complete(url: string, key: string): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ prompt: "Once", max_tokens: 1 }),
  });
}

/** "" where there is no such file. */
async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
