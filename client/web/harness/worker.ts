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
    say({ type: "failed", id, ...told(error, signal) });
  }
};

const say = (reply: Reply): void => self.postMessage(reply);

async function load({ origin, model, apiKey, backend }: LoadRequest, signal: AbortSignal): Promise<LoadResult> {
  loaded?.close(); // its memory goes before the next one's comes
  loaded = null;
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

function model(): LocalModel {
  if (!loaded) throw new OptionError("model", "There is no model yet: load one first");
  return loaded;
}

function told(error: unknown, signal: AbortSignal): { code: string; message: string } {
  if (signal.aborted) return { code: "cancelled", message: "Cancelled." };
  if (error instanceof AerieError) return { code: error.code, message: error.message };
  console.error(error);
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return { code: "unexpected", message: `${name}: ${message}` };
}
