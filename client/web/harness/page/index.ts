/** The harness page: loads the server's model into this browser, generates with it, and says what computed and how fast. */

import { AerieError } from "../../../../shared/errors.ts";
import type { BackendKind } from "../../backends.ts";
import type { LoadProgress, Stale } from "../../progress.ts";
import type { LoadResult, RunResult } from "../messages.ts";
import { listModels } from "./models.ts";
import { remember, rememberedKey, rememberedModel } from "./settings.ts";
import { WorkerClient } from "./worker-client.ts";

const element = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const keyField = element<HTMLInputElement>("key");
const modelField = element<HTMLInputElement>("model");
const backendField = element<HTMLSelectElement>("backend");
const loadButton = element<HTMLButtonElement>("load");
const cancelButton = element<HTMLButtonElement>("cancel");
const generateButton = element<HTMLButtonElement>("generate");
const promptField = element<HTMLTextAreaElement>("prompt");
const tokensField = element<HTMLInputElement>("tokens");
const progressBar = element<HTMLProgressElement>("progress");
const status = element<HTMLOutputElement>("status");
const output = element<HTMLElement>("output");

const worker = new WorkerClient({
  onProgress: showProgress,
  onText: (text) => output.append(text),
});

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;

function showProgress(progress: LoadProgress): void {
  switch (progress.kind) {
    case "waiting":
      status.value = "Another tab has this model in its hands; waiting for it.";
      break;
    case "download":
    case "loading": {
      const { kind, doneBytes, totalBytes } = progress;
      progressBar.max = totalBytes;
      progressBar.value = doneBytes;
      status.value = `${kind === "download" ? "Downloaded" : "Loaded"} ${megabytes(doneBytes)} of ${megabytes(totalBytes)}`;
      break;
    }
    case "compiling":
      progressBar.max = progress.total;
      progressBar.value = progress.done;
      status.value = `Compiled ${progress.done} of ${progress.total} kernels`;
      break;
    case "ready":
      break;
    case "evicted":
      status.value = `The browser removed ${progress.files.join(", ")}; fetching again.`;
      break;
    case "damaged":
      status.value = `${progress.files.join(", ")} was damaged in this browser's storage; fetching again.`;
      break;
    default:
      progress satisfies never;
  }
}

async function load(): Promise<LoadResult> {
  if (modelField.value === "") modelField.value = (await listModels(keyField.value))[0] ?? "";
  const [model, apiKey] = [modelField.value, keyField.value];
  const backend = backendField.value;
  const result = await worker.load({
    origin: location.origin,
    model,
    apiKey,
    ...(backend !== "auto" && { backend: backend as BackendKind }),
  });
  remember(apiKey, model);
  show({
    backend: result.backend,
    kernels: result.kernels,
    model: `${model} (${megabytes(result.weightBytes)} of weights, ${short(result.digest)})`,
    load: `${megabytes(result.fetchedBytes)} fetched, then ${result.loadMs.toFixed(0)} ms from this browser's storage`,
  });
  status.value = result.stale ? readyWith(result.digest, result.stale) : "Ready.";
  return result;
}

const short = (digest: string): string => digest.slice(0, 12);

function readyWith(digest: string, { reason, newest }: Stale): string {
  const version = newest === null ? "" : ` with version ${short(digest)}, not the server's ${short(newest)}`;
  return `Ready, from this browser's storage${version}. ${reason}.`;
}

async function generate(): Promise<RunResult> {
  output.replaceChildren();
  status.value = "Generating.";
  const result = await worker.run({
    prompt: promptField.value,
    maxTokens: tokensField.valueAsNumber,
    stopsAtEnd: true,
  });
  show({
    prefill: `${result.promptIds.length} tokens, ${result.prefillTokensPerSecond.toFixed(1)} tokens/s`,
    decode: `${result.ids.length} tokens, ${result.decodeTokensPerSecond.toFixed(1)} tokens/s`,
    logits: `${[...result.firstLogits.subarray(0, 4)].map((logit) => logit.toFixed(4)).join(", ")}, …`,
    state: `${megabytes(result.state.bytes.length)} after ${result.state.position} tokens`,
  });
  status.value = "Done.";
  return result;
}

function show(results: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(results)) element(`result-${name}`).textContent = text;
}

/** Runs one of the two while the buttons say so. */
async function busy<Result>(what: () => Promise<Result>): Promise<Result> {
  loadButton.disabled = generateButton.disabled = true;
  cancelButton.disabled = false;
  try {
    return await what();
  } catch (error) {
    status.value = error instanceof AerieError ? error.message : String(error);
    throw error;
  } finally {
    loadButton.disabled = false;
    cancelButton.disabled = true;
  }
}

async function loadAndShow(): Promise<LoadResult> {
  loadButton.textContent = "Resume"; // until it is there: what has come stays
  const result = await busy(load);
  loadButton.textContent = "Load";
  generateButton.disabled = false;
  return result;
}

async function generateAndShow(): Promise<RunResult> {
  let isLoaded = true;
  try {
    return await busy(generate);
  } catch (error) {
    isLoaded = !(error instanceof AerieError && error.code === "gpu.lost");
    throw error;
  } finally {
    generateButton.disabled = !isLoaded;
  }
}

// The status line says what went wrong.
const ignore = () => undefined;
loadButton.addEventListener("click", () => void loadAndShow().catch(ignore));
generateButton.addEventListener("click", () => void generateAndShow().catch(ignore));
cancelButton.addEventListener("click", () => worker.cancel());

keyField.value = rememberedKey();
modelField.value = rememberedModel();

/** For scripts: the worker behind the page, past its buttons. */
Object.assign(globalThis, { harness: worker });

if ("serviceWorker" in navigator) void navigator.serviceWorker.register("service-worker.js");
