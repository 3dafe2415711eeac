/**
 * `npm run dev`: its one line, its key, its end; and where it can't start, a sentence that says what to do instead. What it
 * starts is tested over HTTP.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

function start(folder: string, port: string | number) {
  return spawn(process.execPath, ["cli/dev.ts"], { cwd: folder, env: { ...process.env, PORT: `${port}` } });
}

async function dev(port: string): Promise<{ code: number; stderr: string }> {
  const child = start(root, port);
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  return { code, stderr };
}

/** The repository as a clone of its own: what `npm run dev` writes beside it is not the developer's. */
async function clone(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "aerie-dev-"));
  for (const name of [
    "cli",
    "shared",
    "workers",
    "durable-objects",
    "package.json",
    "tsconfig.base.json",
    "wrangler.toml",
  ])
    await cp(join(root, name), join(folder, name), { recursive: true });
  for (const name of ["node_modules", "build"]) await symlink(join(root, name), join(folder, name));
  return folder;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("says one line with a key that works, ends when it is told to, and has the same key next time", {
  timeout: 180_000,
}, async () => {
  const folder = await clone();
  try {
    const keys: string[] = [];
    for (let run = 0; run < 2; run++) {
      const port = await freePort();
      const child = start(folder, port);
      const exit = once(child, "exit");
      const said = text(child.stdout);
      const line = await new Promise<string>((resolve, reject) => {
        child.stdout.on("data", (bytes) => `${bytes}`.includes("Aerie ready") && resolve(`${bytes}`));
        void exit.then(() => reject(new Error("it ended before it was ready")));
      });
      const [, url, key = ""] = /^Aerie ready on (\S+) · key (\S+)\n$/.exec(line) ?? [];
      expect(url).toBe(`http://127.0.0.1:${port}`);
      keys.push(key);
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const body = JSON.stringify({ input: "Say hello.", max_output_tokens: 4 });
      const reply = await fetch(`${url}/v1/responses`, { method: "POST", headers, body });
      expect([reply.status, ((await reply.json()) as { object: string }).object]).toStrictEqual([200, "response"]);
      child.kill("SIGTERM");
      expect(await exit).toStrictEqual([0, null]);
      expect(await said).toBe(line);
      await expect(fetch(`${url}/health`)).rejects.toThrow();
    }
    expect(keys[1]).toBe(keys[0]);
    expect(await readFile(join(folder, ".wrangler/dev-key"), "utf8")).toBe(`${keys[0]}\n`);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a port that is taken", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await dev(`${port}`)).toStrictEqual({
    code: 1,
    stderr: expect.stringMatching(`^aerie: port ${port} is taken: .* choose another one with PORT=\\d+ npm run dev\n$`),
  });
  server.close();
});

test.each(["abc", "0", "65536", "80.5"])("PORT=%s, which is none", async (port) => {
  expect(await dev(port)).toStrictEqual({
    code: 2,
    stderr: `aerie: PORT: expected a whole number from 1 to 65535, found "${port}"\n`,
  });
});
