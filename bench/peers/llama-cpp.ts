/**
 * Native llama.cpp, through the addon that node-llama-cpp ships: batches are decoded as llama-bench does it, nothing is sampled, and the
 * times are llama.cpp's own. The addon's way to its thread and back, 0.07 ms a call or 2 % of a decoded token, is not held against it.
 */

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** The part of the addon that the benches call. */
interface Addon {
  loadBackends(folder: string): void;
  init(): Promise<void>;
  systemInfo(): string;
  setLogger(log: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  readonly AddonModel: new (
    path: string,
    options: { readonly gpuLayers: number; readonly useMmap: boolean },
  ) => AddonModel;
  readonly AddonContext: new (model: AddonModel, options: ContextOptions) => AddonContext;
}

interface AddonModel {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  getTotalParameters(): number;
}

interface ContextOptions {
  readonly contextSize: number;
  /** Both the batch and the micro-batch. */
  readonly batchSize: number;
  readonly flashAttention: boolean | "auto";
  readonly threads: number;
  readonly performanceTracking: boolean;
}

interface AddonContext {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  initBatch(size: number): void;
  /** `logitsOf`: the indices in `tokens` whose logits are computed. */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logitsOf: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  disposeSequence(sequence: number): void;
  /** Logs the times since the last call. */
  printTimings(): void;
}

export interface LlamaCpp {
  readonly version: string;
  /** The library chosen for this processor, and what it was compiled with. */
  readonly library: string;
  readonly features: string;
  open(path: string): Promise<LlamaModel>;
}

export interface LlamaModel {
  /** As llama.cpp counts them. */
  readonly parameters: number;
  /** Where the weights went, in llama.cpp's words. */
  readonly buffers: readonly string[];
  /** One pass over up to 512 tokens; logits for the last. */
  decode(tokens: Uint32Array, position: number): Promise<void>;
  /** Seconds that decoding took since the last call, by llama.cpp's clock. */
  seconds(): Promise<number>;
  /** Forgets all tokens. */
  clear(): void;
  close(): Promise<void>;
}

const CONTEXT: ContextOptions = {
  contextSize: 1024,
  batchSize: 512, // 64 … 512 make no difference here
  flashAttention: "auto", // which is on; off is slower
  threads: 1,
  performanceTracking: true,
};
const SEQUENCE = 0;
const LOG_INFO = 4;

/** null where there is no prebuilt llama.cpp: anywhere but on Linux x64 with glibc. */
export async function loadLlamaCpp(): Promise<LlamaCpp | null> {
  const found = await import("@node-llama-cpp/linux-x64").catch(() => null);
  if (!found) return null;
  const { binsDir, packageVersion } = found.getBinsDir();
  const folder = join(binsDir, "linux-x64");
  const addon: Addon = createRequire(import.meta.url)(join(folder, "llama-addon.node"));
  const log = addonLog(addon);
  const loaded = await log.of(async () => {
    addon.loadBackends(folder);
    await addon.init();
  });
  const release = readdirSync(folder).flatMap((name) => /^libllama\.(v.+)\.so$/.exec(name)?.[1] ?? [])[0];
  return {
    version: `${release ?? "?"} of node-llama-cpp ${packageVersion}`,
    library: /libggml-cpu-\w+/.exec(loaded)?.[0] ?? "?",
    features: addon.systemInfo().trim(),
    async open(path) {
      const model = new addon.AddonModel(path, { gpuLayers: 0, useMmap: true });
      let isLoaded = false;
      const said = await log.of(async () => {
        isLoaded = await model.init();
      });
      if (!isLoaded) throw new Error(`llama.cpp does not load ${path}:\n${said}`);
      const context = new addon.AddonContext(model, CONTEXT);
      if (!(await context.init())) throw new Error(`llama.cpp makes no context for ${path}:\n${said}`);
      const buffers = Array.from(said.matchAll(/\S+ model buffer size = .*/g), ([buffer]) => buffer);
      return llamaModel(model, context, buffers, log);
    },
  };
}

interface AddonLog {
  /** What llama.cpp logs during `body`. */
  of(body: () => unknown): Promise<string>;
}

function addonLog(addon: Addon): AddonLog {
  let messages: string[] = [];
  addon.setLogger((_level, message) => messages.push(message));
  addon.setLoggerLogLevel(LOG_INFO);
  return {
    async of(body) {
      messages = [];
      await body();
      await new Promise((resolve) => setTimeout(resolve, 50)); // messages come over from another thread
      return messages.join("");
    },
  };
}

function llamaModel(model: AddonModel, context: AddonContext, buffers: readonly string[], log: AddonLog): LlamaModel {
  return {
    parameters: model.getTotalParameters(),
    buffers,
    async decode(tokens, position) {
      context.initBatch(tokens.length);
      context.addToBatch(SEQUENCE, position, tokens, Uint32Array.of(tokens.length - 1));
      await context.decodeBatch();
    },
    async seconds() {
      const timings = await log.of(() => context.printTimings());
      // Single tokens under "eval time", batches under "prompt eval time".
      const times = Array.from(timings.matchAll(/eval time =\s+([\d.]+) ms/g), ([, ms]) => Number(ms) / 1000);
      if (times.length !== 2) throw new Error(`llama.cpp says no times:\n${timings}`);
      return times[0] + times[1];
    },
    clear: () => context.disposeSequence(SEQUENCE),
    async close() {
      await context.dispose();
      await model.dispose();
    },
  };
}
