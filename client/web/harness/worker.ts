/** The worker behind the page: the engine and the bundle's download run here, so that the page stays responsive. */

import { AerieError, OptionError } from "../../../shared/errors.ts";
import { bundleUrl } from "../bundle-server.ts";
import { type LocalModel, openLocalModel } from "../local-model.ts";
import type { LoadProgress } from "../progress.ts";
import type { LoadRequest, LoadResult, Reply, Request } from "./messages.ts";
import { run } from "./run.ts";

declare const self: DedicatedWorkerGlobalScope;

let loaded: LocalModel | null = null;
let running = new AbortController();

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  const { id } = data;
  if (data.type === "cancel") {
    running.abort();
    return;
  }
  running = new AbortController();
  const { signal } = running;
  try {
    const result =
      data.type === "load"
        ? await load(data, signal)
        : await run(model(), data, { signal, onText: (text) => say({ type: "text", text }) });
    say({ type: "done", id, result });
  } catch (error) {
    const isLost = !signal.aborted && (await isLoss(error));
    if (isLost) unload();
    say({ type: "failed", id, ...(isLost ? loss : told(error, signal)) });
  }
};

const say = (reply: Reply): void => self.postMessage(reply);

async function load({ origin, model, apiKey, backend }: LoadRequest, signal: AbortSignal): Promise<LoadResult> {
  unload(); // its memory goes before the next one's comes
  let fetchedBytes = 0;
  let fetchingBytes = 0; // by the download in progress: a repair is another one
  let stale: LoadResult["stale"] = null;
  let readyAt = performance.now();
  const onProgress = (progress: LoadProgress) => {
    if (progress.kind === "download") fetchingBytes = progress.fetchedBytes;
    if (progress.kind === "ready") {
      fetchedBytes += fetchingBytes;
      fetchingBytes = 0;
      stale = progress.stale;
      readyAt = performance.now();
    }
    say({ type: "progress", progress });
  };
  loaded = await openLocalModel({ url: bundleUrl(origin, model), apiKey }, { backend, signal, onProgress });
  return {
    backend: loaded.backend,
    kernels: loaded.model.backend.name,
    model,
    digest: loaded.digest,
    weightBytes: loaded.weightBytes,
    stale,
    fetchedBytes,
    loadMs: performance.now() - readyAt,
  };
}

function unload(): void {
  loaded?.close();
  loaded = null;
}

function model(): LocalModel {
  if (!loaded) throw new OptionError("model", "There is no model yet: load one first");
  return loaded;
}

const loss = {
  code: "gpu.lost",
  message: "The GPU failed, and the model in its memory is gone: press Load, which brings it back",
};

// Chromium fails what was being read from a GPU, and says a moment later that the GPU is lost.
const LOSS_IS_TOLD_MS = 1000;

/** Whether the model that is loaded computes nothing any more. */
async function isLoss(error: unknown): Promise<boolean> {
  if (error instanceof AerieError) return error.code === "gpu.lost" || error.code === "gpu.refused";
  if (!loaded?.lost) return false;
  const notTold = new Promise<false>((resolve) => setTimeout(resolve, LOSS_IS_TOLD_MS, false));
  return Promise.race([loaded.lost.then(() => true), notTold]);
}

function told(error: unknown, signal: AbortSignal): { code: string; message: string } {
  if (signal.aborted) return { code: "cancelled", message: "Cancelled." };
  if (error instanceof AerieError) return { code: error.code, message: error.message };
  console.error(error);
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return { code: "unexpected", message: `${name}: ${message}` };
}
