/** The built Worker in a real workerd, with a database that survives it: what end-to-end tests and benches talk to. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { convertV4MiniflareOptions, Miniflare, type V4ModuleDefinition } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { addKey } from "../../cli/admin-client.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bundle = join(root, "build/worker"); // `npm run build:worker`

export interface RuntimeOptions {
  /** A folder that outlives the runtime. Default: one of its own, removed by `stop`. */
  readonly persist?: string;
  /** On top of wrangler.toml's variables. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Without AERIE_SECRET, as a fresh deployment. */
  readonly isUnconfigured?: boolean;
  /** In place of wrangler.toml's rate limit. */
  readonly requestsPerMinute?: number;
  /** Lets a test hold the Worker at an instant of its choice (test/edge/held-worker.ts): never in production. */
  readonly isHeld?: boolean;
  /** Every line that the Worker logs. Default: all but those about turns go to this process's output. */
  readonly onLog?: (line: string) => void;
}

export class Runtime {
  readonly secret = randomBytes(32).toString("hex");
  readonly #options: RuntimeOptions;
  readonly #persist: string;
  readonly #modules: V4ModuleDefinition[]; // read once: the same code after every restart, whoever builds meanwhile
  #miniflare: Miniflare | null = null;
  #url = "";

  static async start(options: RuntimeOptions = {}): Promise<Runtime> {
    const runtime = new Runtime(options);
    await runtime.start();
    return runtime;
  }

  private constructor(options: RuntimeOptions) {
    this.#options = options;
    this.#modules = options.isHeld ? [...heldModules(), ...readModules()] : readModules();
    this.#persist = options.persist ?? mkdtempSync(join(tmpdir(), "aerie-e2e-"));
  }

  /** Without a slash at its end. Changes with every start. */
  get url(): string {
    return this.#url;
  }

  get miniflare(): Miniflare {
    if (!this.#miniflare) throw new Error("the runtime is not running");
    return this.#miniflare;
  }

  /** A key of its own for a tenant. */
  async key(tenant = "default"): Promise<string> {
    return (await addKey(this.#url, this.secret, { name: "test", tenant })).key;
  }

  /** Puts a file of a bundle where models of source "r2" are read from. */
  async putModelFile(path: string, bytes: Uint8Array): Promise<void> {
    const bucket = await this.miniflare.getR2Bucket("MODELS", "aerie");
    await (bucket as unknown as { put(path: string, bytes: Uint8Array): Promise<unknown> }).put(path, bytes);
  }

  /** With the same database and secret as before. */
  async start(): Promise<void> {
    this.#miniflare = new Miniflare(this.#miniflareOptions());
    this.#url = (await this.#miniflare.ready).origin;
  }

  /** An orderly end: every isolate and every object's memory is gone, the storage stays. */
  async restart(): Promise<void> {
    await this.miniflare.dispose();
    await this.start();
  }

  /** The process that runs the Worker. Look it up before there is load: the search blocks this process. */
  workerdPid(): number {
    const children = execFileSync("ps", ["--ppid", String(process.pid), "-o", "pid=,comm="], { encoding: "utf8" });
    const pids = [...children.matchAll(/(\d+) workerd/g)].map((match) => Number(match[1]));
    if (pids.length !== 1) throw new Error(`expected one workerd below this process, found ${pids.length}`);
    return pids[0];
  }

  /** SIGKILL: nothing is flushed, nobody is told. `start` brings it back. */
  async kill(pid: number): Promise<void> {
    process.kill(pid, "SIGKILL");
    await this.#miniflare?.dispose().catch(() => undefined);
    this.#miniflare = null;
  }

  async stop(): Promise<void> {
    await this.#miniflare?.dispose();
    this.#miniflare = null;
    if (this.#options.persist === undefined) rmSync(this.#persist, { recursive: true, force: true });
  }

  #miniflareOptions(): ReturnType<typeof convertV4MiniflareOptions> {
    const onLog = this.#options.onLog ?? logOthers;
    const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "wrangler.toml"));
    const { AERIE_SECRET: _, ...vars } = (workerOptions.bindings ?? {}) as Record<string, string>;
    return convertV4MiniflareOptions({
      cf: false,
      handleStructuredLogs: ({ message }: { message: string }) => onLog(message),
      host: "127.0.0.1",
      port: 0,
      resourcePersistencePath: this.#persist,
      workers: [
        {
          ...limited(workerOptions, this.#options),
          name: "aerie",
          modules: this.#modules,
          modulesRoot: bundle,
          bindings: {
            ...vars,
            ...(this.#options.isUnconfigured ? {} : { AERIE_SECRET: this.secret }),
            ...this.#options.vars,
          },
        },
      ],
    });
  }
}

function limited<Options extends object>(worker: Options, { requestsPerMinute: limit }: RuntimeOptions): Options {
  return limit === undefined
    ? worker
    : { ...worker, ratelimits: { RATE_LIMIT: { namespace_id: "1001", simple: { limit, period: 60 } } } };
}

function readModules(): V4ModuleDefinition[] {
  const files = readdirSync(bundle).filter((file) => /\.(js|wasm)$/.test(file));
  return files
    .sort((a, b) => Number(b === "index.js") - Number(a === "index.js")) // the entry comes first
    .map((file) => ({
      type: file.endsWith(".js") ? ("ESModule" as const) : ("CompiledWasm" as const),
      path: join(bundle, file),
      contents: readFileSync(join(bundle, file)),
    }));
}

/** In front of the production bundle, which it takes for the Worker's source. */
function heldModules(): V4ModuleDefinition[] {
  const names = { '"../../workers/index.ts"': '"./index.js"', '"../e2e/hold.ts"': '"./hold.js"' };
  return ["test/edge/held-worker.ts", "test/e2e/hold.ts"].map((file) => {
    let contents = stripTypeScriptTypes(readFileSync(join(root, file), "utf8"));
    for (const [source, built] of Object.entries(names)) contents = contents.replace(source, built);
    return { type: "ESModule", path: join(bundle, basename(file).replace(".ts", ".js")), contents };
  });
}

function logOthers(line: string): void {
  if (!line.startsWith('{"event":"turn"')) console.log(line);
}
