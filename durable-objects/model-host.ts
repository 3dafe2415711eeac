/**
 * The models of this isolate. Weights live in module scope: all objects and requests that the runtime places in one isolate
 * use the same ones, within one budget of memory.
 */

import { createHash } from "node:crypto";
import type { BundleFile } from "../shared/api/services.ts";
import type { Backend } from "../shared/backend/backend.ts";
import { wasmBackend } from "../shared/backend/wasm/index.ts";
import { bundledWeights, type Manifest, streamBytes } from "../shared/checkpoint/bundle-manifest.ts";
import type { Hasher } from "../shared/checkpoint/hasher.ts";
import {
  type Admission,
  BusyError,
  type LoadedModel,
  ModelError,
  type ModelSource,
  type Needs,
  turnNeeds,
} from "../shared/conversation/model-source.ts";
import { stateLayout } from "../shared/model/state-layout.ts";
import { openBundleFile } from "./bundle-files.ts";
import { secondsPerToken, tokensPerYield, yieldToEvents } from "./compute-pace.ts";
import { edgeKernels } from "./edge-kernels.ts";
import {
  BUDGET_BYTES,
  computationBytes,
  MAX_TOKENS,
  MAX_WEIGHT_BYTES,
  memoryBytes,
  STATE_SLOTS,
  tokenizerBytes,
} from "./memory-budget.ts";
import { type ModelEntry, parseCatalogue } from "./model-catalogue.ts";
import { ModelLoad, type OnProgress } from "./model-load.ts";
import { type BundleStore, openStore, type StoreBindings } from "./model-store.ts";

// A request that is cancelled while it computes never releases its place: no `finally` runs. But its timers end with it, so a
// computation is alive as long as its timer beats, also while it waits for its next segment or for its client (how long it
// waits for that one is patience.ts's matter). One that was not seen for this long is gone, as is a load that nobody looks at.
const LEASE_MS = 30_000;
const BEAT_MS = LEASE_MS / 4;

// A refused request may come again when about one reply of this length is done.
const TYPICAL_REPLY_TOKENS = 128;
const MAX_RETRY_SECONDS = 30;

export interface ModelBindings extends StoreBindings {
  readonly AERIE_MODELS?: string;
}

export interface ModelHostOptions {
  readonly models: readonly ModelEntry[];
  readonly openStore: (entry: ModelEntry) => BundleStore;
  /** For models and computations together. Default: what an isolate has. */
  readonly budgetBytes?: number;
}

/** A model that takes room here, loaded or about to be. */
interface Resident {
  readonly id: string;
  readonly load: ModelLoad;
  bytes: number; // 0 until the manifest is known
  lastUse: number; // by number: clocks stand still
  lastSeenMs: number;
  /** Not handed out any more; it takes room as long as something computes with it. */
  isRetired: boolean;
  readonly running: Set<Running>;
}

interface Running {
  readonly bytes: number;
  lastSeenMs: number;
}

let host: ModelHost | null = null;

/** The one host of this isolate, for the Worker's entry and every object class of its script. Throws if `AERIE_MODELS` is wrong. */
export function modelHost(env: ModelBindings): ModelHost {
  host ??= new ModelHost({ models: parseCatalogue(env.AERIE_MODELS), openStore: (entry) => openStore(env, entry) });
  return host;
}

export class ModelHost implements ModelSource {
  readonly models: readonly ModelEntry[];
  readonly #openStore: ModelHostOptions["openStore"];
  readonly #budgetBytes: number;
  readonly #residents = new Set<Resident>();
  #uses = 0;

  constructor({ models, openStore, budgetBytes = BUDGET_BYTES }: ModelHostOptions) {
    this.models = models;
    this.#openStore = openStore;
    this.#budgetBytes = budgetBytes;
  }

  /** A file of a model's bundle, for clients that compute themselves. null: there is none of that name. */
  bundleFile(id: string, file: string): Promise<BundleFile | null> {
    return openBundleFile(this.#openStore(this.#entry(id)), file, createHasher);
  }

  async load(id: string, onProgress?: OnProgress): Promise<LoadedModel> {
    const resident = this.#resident(id);
    resident.lastUse = ++this.#uses;
    const { load } = resident;
    if (load.loaded) return load.loaded;
    try {
      return await load.wait(onProgress, () => {
        resident.lastSeenMs = Date.now();
      });
    } catch (error) {
      if (load.hasFailed) this.#retire(resident); // the next request tries anew
      throw error;
    }
  }

  admit(loaded: LoadedModel, needs: Needs): Admission {
    const owner = this.#ownerOf(loaded);
    if (!owner || owner.isRetired)
      throw new BusyError(`the model ${loaded.id} was unloaded a moment ago: the same request will load it again`, 1);
    const { config } = loaded.model;
    const running: Running = { bytes: computationBytes(loaded.model, needs), lastSeenMs: Date.now() };
    if (owner.bytes + running.bytes > this.#budgetBytes)
      throw new ModelError(
        "too-large",
        `this takes ${running.bytes} bytes with the model ${loaded.id}, which leaves ${this.#budgetBytes - owner.bytes}: ` +
          "ask for less at once (fewer replies, a shorter text), or of a smaller model",
      );
    this.#makeRoom(running.bytes, owner, secondsPerToken(config));
    owner.lastUse = ++this.#uses;
    owner.running.add(running);
    const seen = () => {
      running.lastSeenMs = Date.now();
    };
    const beat = setInterval(seen, BEAT_MS);
    return {
      tokensPerYield: tokensPerYield(config),
      async yieldToEvents() {
        await yieldToEvents();
        seen(); // timers may be late where much is computed
      },
      release: () => {
        clearInterval(beat);
        owner.running.delete(running);
        this.#sweep();
      },
    };
  }

  discard(loaded: LoadedModel): void {
    const owner = this.#ownerOf(loaded);
    if (owner) this.#retire(owner);
  }

  /** What is in use of the budget. */
  usage(): { readonly budgetBytes: number; readonly usedBytes: number; readonly running: number } {
    this.#sweep();
    const residents = [...this.#residents];
    return {
      budgetBytes: this.#budgetBytes,
      usedBytes: residents.reduce((sum, resident) => sum + usedBytes(resident), 0),
      running: residents.reduce((sum, { running }) => sum + running.size, 0),
    };
  }

  #resident(id: string): Resident {
    for (const resident of this.#residents) {
      if (resident.load.hasFailed) this.#retire(resident); // whoever saw it fail may be gone
      if (resident.id === id && !resident.isRetired) return resident;
    }
    const entry = this.#entry(id);
    const resident: Resident = {
      id,
      bytes: 0,
      lastUse: 0,
      lastSeenMs: Date.now(),
      isRetired: false,
      running: new Set(),
      load: new ModelLoad({
        id,
        openStore: () => this.#openStore(entry),
        createHasher,
        createBackend: (manifest) => this.#createBackend(resident, manifest),
      }),
    };
    this.#residents.add(resident);
    return resident;
  }

  #entry(id: string): ModelEntry {
    const entry = this.models.find((model) => model.id === id);
    if (entry) return entry;
    throw new ModelError(
      "unknown",
      `there is no model ${JSON.stringify(id.slice(0, 100))} here, there is ${this.models.map((model) => model.id).join(", ")}`,
    );
  }

  #ownerOf(loaded: LoadedModel): Resident | undefined {
    return [...this.#residents].find(({ load }) => load.loaded === loaded);
  }

  #createBackend(resident: Resident, manifest: Manifest): Backend {
    const { config, tensors, ring } = manifest;
    const weightBytes = streamBytes(tensors);
    if (weightBytes > MAX_WEIGHT_BYTES)
      throw new ModelError(
        "too-large",
        `the model ${resident.id} has ${weightBytes} bytes of packed weights, an isolate carries ${MAX_WEIGHT_BYTES}: ` +
          "convert it with --weights rg4, or run it in Node",
      );
    const layout = stateLayout(config, ring);
    const bytes = memoryBytes(manifest) + tokenizerBytes(manifest);
    const neededBytes = bytes + computationBytes({ config, stateLayout: layout }, turnNeeds(1));
    if (neededBytes > this.#budgetBytes)
      throw new ModelError(
        "too-large",
        `the model ${resident.id} needs ${neededBytes} bytes (weights ${weightBytes}, each state ${layout.bytes}), ` +
          `an isolate has ${this.#budgetBytes} for models: convert it with --weights rg4 or --ring i8, or run it in Node`,
      );
    this.#makeRoom(bytes, resident, secondsPerToken(config));
    resident.bytes = bytes;
    const needs = { config, weights: bundledWeights(manifest), stateLayout: layout };
    return wasmBackend(edgeKernels, needs, {
      budgetBytes: memoryBytes(manifest),
      maxTokens: MAX_TOKENS,
      stateSlots: STATE_SLOTS,
    });
  }

  /** Drops idle models, the least recently used first, until `bytes` more fit; a `BusyError` if they never do. */
  #makeRoom(bytes: number, forResident: Resident, secondsPerToken: number): void {
    for (;;) {
      const { usedBytes, running } = this.usage();
      if (usedBytes + bytes <= this.#budgetBytes) return;
      const idle = [...this.#residents]
        .filter((resident) => resident !== forResident && isIdle(resident))
        .sort((a, b) => a.lastUse - b.lastUse)[0];
      if (!idle)
        throw new BusyError(
          `this isolate has no room for another computation: ${running} are running, ${usedBytes} of ${this.#budgetBytes} bytes are in use, ${bytes} more are needed`,
          Math.max(1, Math.min(MAX_RETRY_SECONDS, Math.ceil(TYPICAL_REPLY_TOKENS * secondsPerToken * running))),
        );
      this.#retire(idle); // its memory goes with the next garbage collection
    }
  }

  #retire(resident: Resident): void {
    resident.isRetired = true;
    this.#sweep();
  }

  /** Forgets computations that ended without a word, and retired models that nothing computes with. */
  #sweep(): void {
    const longAgoMs = Date.now() - LEASE_MS;
    for (const resident of this.#residents) {
      for (const running of resident.running) if (running.lastSeenMs < longAgoMs) resident.running.delete(running);
      if (resident.isRetired && resident.running.size === 0) this.#residents.delete(resident);
    }
  }
}

function usedBytes({ bytes, running }: Resident): number {
  let sum = bytes;
  for (const computation of running) sum += computation.bytes;
  return sum;
}

/** Nothing computes with it and nobody waits for it. */
const isIdle = ({ running, load, lastSeenMs, bytes }: Resident): boolean =>
  bytes > 0 && running.size === 0 && (load.loaded !== null || lastSeenMs < Date.now() - LEASE_MS);

function createHasher(): Hasher {
  const hash = createHash("sha256");
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
}
