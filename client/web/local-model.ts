/** A model that runs in this browser, from a server's bundle: download, cache, check, load. */

import { type Manifest, streamBytes } from "../../shared/checkpoint/bundle-manifest.ts";
import { companionFiles } from "../../shared/checkpoint/bundle-reader.ts";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import type { Model } from "../../shared/engine.ts";
import { TokenizerError } from "../../shared/errors.ts";
import { loadBundledModel } from "../../shared/load-bundle.ts";
import { loadTokenizer, TOKENIZER_FILE } from "../../shared/load-tokenizer.ts";
import type { Tokenizer } from "../../shared/tokenizer/tokenizer.ts";
import { type BackendKind, type ChosenBackend, chooseAfter, chooseBackend } from "./backends.ts";
import type { BundleServer } from "./bundle-server.ts";
import { withLocalBundle } from "./local-bundle.ts";
import type { LoadProgress } from "./progress.ts";
import { sha256Hasher } from "./sha256.ts";

export interface LocalModel {
  /** What computes, and why: `wasm (no WebGPU adapter)`. */
  readonly backend: string;
  readonly digest: string;
  readonly weightBytes: number;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Settles once the GPU is gone, and the model with it; null where none computes. */
  readonly lost: Promise<unknown> | null;
  /** Gives a GPU's memory back at once. The model is of no use any more. */
  close(): void;
}

export interface LocalModelOptions {
  /** Default: the faster one of those that there are. */
  readonly backend?: BackendKind | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** For dedicated workers. Errors say what to do; cancelling keeps what was downloaded. */
export async function openLocalModel(server: BundleServer, options: LocalModelOptions = {}): Promise<LocalModel> {
  const { backend: wanted, signal, onProgress } = options;
  // Before a long download: a backend that can't be had is told at once.
  let unused: ChosenBackend | null = await chooseBackend(wanted);
  // A GPU may turn out to be too small, or otherwise of no use, only when the model comes into it.
  const use = async (folder: Folder, manifest: Manifest): Promise<LocalModel> => {
    const chosen = unused ?? (await chooseBackend(wanted));
    unused = null;
    try {
      return await load(folder, manifest, chosen, options);
    } catch (error) {
      chosen.close(); // what came into a GPU is not left there
      return load(folder, manifest, await chooseAfter(error, chosen, wanted), options);
    }
  };
  try {
    return await withLocalBundle(server, use, { signal, onProgress });
  } finally {
    unused?.close();
  }
}

async function load(
  folder: Folder,
  manifest: Manifest,
  { line, createBackend, prepare, lost, close }: ChosenBackend,
  { signal, onProgress }: LocalModelOptions,
): Promise<LocalModel> {
  const text = await loadTokenizer(companionFiles(folder, manifest, sha256Hasher));
  if (!text) throw new TokenizerError(`the bundle has no ${TOKENIZER_FILE}: text needs one`);
  const model = await loadBundledModel(folder, manifest, createBackend, {
    createHasher: sha256Hasher,
    onProgress(doneBytes, totalBytes) {
      signal?.throwIfAborted();
      onProgress?.({ kind: "loading", doneBytes, totalBytes });
    },
  });
  const prepared = prepare((done, total) => {
    signal?.throwIfAborted();
    onProgress?.({ kind: "compiling", done, total });
  });
  await unlessAborted(prepared, signal);
  const { digest, tensors } = manifest;
  const { tokenizer } = text;
  return { backend: line, digest, weightBytes: streamBytes(tensors), model, tokenizer, lost, close };
}

/** Waits no longer than until a cancel: a driver compiles for as long as it likes. */
function unlessAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    promise.then(resolve, reject);
    const onAbort = () => reject(signal?.reason);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
