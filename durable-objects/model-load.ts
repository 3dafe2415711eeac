/**
 * One model on its way into an isolate, for everyone who waits for it.
 *
 * Requests may come together here, and each may be cancelled at any time. In workerd a cancelled request stops silently: what
 * it awaited never continues, not even its `finally`, and a promise of another request must not be awaited. So nobody
 * waits for anybody's promise. One caller leads: it streams the files and publishes each piece, synchronously, into
 * plain objects. The others look at those every few milliseconds from timers of their own; when nothing moves, one takes over
 * where the leader stopped.
 */

import type { Backend } from "../shared/backend/backend.ts";
import { BundleLoad } from "../shared/checkpoint/bundle-load.ts";
import type { Manifest } from "../shared/checkpoint/bundle-manifest.ts";
import { companionFiles, readManifest } from "../shared/checkpoint/bundle-reader.ts";
import type { CreateHasher } from "../shared/checkpoint/hasher.ts";
import { type LoadedModel, ModelError } from "../shared/conversation/model-source.ts";
import { createModel } from "../shared/engine.ts";
import { AerieError, CheckpointError, TokenizerError } from "../shared/errors.ts";
import { loadTextSide, type TextSide } from "../shared/load-text-side.ts";
import { TOKENIZER_FILE } from "../shared/load-tokenizer.ts";
import { type BundleStore, readPieces } from "./model-store.ts";

// How often those who wait look: short beside a load (10 ms and more), rare enough to cost nothing.
const POLL_MS = 25;

// Looks without progress before a leader counts as gone: 1.5 s, more than the first byte of a healthy store takes. Looks are
// counted and not time, so that a computation which blocks the isolate is not held against the leader. Who comes late counts
// the time before as looks, all but these: enough for a leader that is alive to show it.
const FIRST_PATIENCE_POLLS = 60;
const OWN_POLLS = 3;

// Every take-over doubles the patience, so that a slow store is not asked again and again by ever new leaders.
const MAX_PATIENCE_POLLS = 1200;

// Transfers that may break off; the next one goes on where they ended.
const MAX_BROKEN_TRANSFERS = 2;

export type OnProgress = (doneBytes: number, totalBytes: number) => unknown;

export interface ModelLoadOptions {
  readonly id: string;
  /** Called by each leader: bindings serve the request that uses them. */
  readonly openStore: () => BundleStore;
  readonly createHasher: CreateHasher;
  /** Lays out the memory. Throws an `AerieError` where there is no room. */
  readonly createBackend: (manifest: Manifest) => Backend;
}

export class ModelLoad {
  readonly #options: ModelLoadOptions;
  // What the leaders published.
  #manifest: Manifest | null = null;
  #text: TextSide | null = null;
  #backend: Backend | null = null;
  #weights: BundleLoad | null = null;
  #loaded: LoadedModel | null = null;
  #failure: unknown = null;
  /** Grows with everything published: how those who wait see that the leader lives. */
  #steps = 0;
  #lastStepMs = 0;
  /** Which leader is the newest: an older one that wakes up finds another number here. */
  #generation = 0;
  #isLed = false;
  #patiencePolls = FIRST_PATIENCE_POLLS;
  #brokenTransfers = 0;

  constructor(options: ModelLoadOptions) {
    this.#options = options;
  }

  get loaded(): LoadedModel | null {
    return this.#loaded;
  }

  /** Nothing will come of this load any more. */
  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  /** Waits for the model, or loads it. `onLook` is called all the while: somebody wants it still. */
  async wait(onProgress: OnProgress | undefined, onLook: () => void): Promise<LoadedModel> {
    const report = () => {
      if (this.#weights) onProgress?.(this.#weights.offset, this.#weights.totalBytes);
    };
    const earlierPolls = Math.floor((Date.now() - this.#lastStepMs) / POLL_MS);
    let idlePolls = Math.max(0, Math.min(earlierPolls, this.#patiencePolls - OWN_POLLS));
    for (;;) {
      onLook();
      if (this.#isLed && idlePolls >= this.#patiencePolls) {
        this.#isLed = false;
        this.#patiencePolls = Math.min(2 * this.#patiencePolls, MAX_PATIENCE_POLLS);
      }
      if (!this.#isLed) {
        for await (const _ of this.#lead()) {
          onLook();
          report();
        }
        idlePolls = 0;
      }
      if (this.#failure) throw this.#failure;
      if (this.#loaded) return this.#loaded;
      const steps = this.#steps;
      await scheduler.wait(POLL_MS);
      idlePolls = this.#steps === steps ? idlePolls + 1 : 0;
      if (this.#steps !== steps) report();
    }
  }

  /** Loads until all is done, something fails or another caller has taken over. */
  async *#lead(): AsyncGenerator<void> {
    if (this.#loaded || this.#failure) return;
    const generation = ++this.#generation;
    const isReplaced = () => this.#generation !== generation;
    let isOver = false;
    this.#isLed = true;
    this.#lastStepMs = Date.now();
    const pieces = this.#read();
    const replaced = until(() => isOver || isReplaced()); // a transfer may hang for ever; its leader need not
    try {
      for (;;) {
        const piece = await Promise.race([pieces.next(), replaced]);
        if (isReplaced() || !piece || piece.done) return; // what comes late is dropped: somebody else has it, or will
        piece.value();
        this.#steps++;
        this.#lastStepMs = Date.now();
        yield;
      }
    } catch (error) {
      if (!isReplaced()) this.#fail(error);
    } finally {
      isOver = true;
      if (!isReplaced()) this.#isLed = false; // its caller may also have lost interest in the middle
      pieces.return(undefined).catch(() => undefined); // closes the transfer, unless that hangs
    }
  }

  /** What is still missing, one piece after the other, each as a function that publishes it. */
  async *#read(): AsyncGenerator<() => void> {
    const { id, openStore, createHasher, createBackend } = this.#options;
    const store = openStore();
    if (!this.#manifest) {
      const manifest = await readManifest(store, createHasher);
      if (!manifest) throw new CheckpointError("unreadable", "there is no bundle: its manifest.json is missing");
      yield () => {
        this.#backend = createBackend(manifest);
        this.#weights = new BundleLoad(manifest, this.#backend, createHasher);
        this.#manifest = manifest;
      };
    }
    const [manifest, backend, weights] = [this.#manifest!, this.#backend!, this.#weights!];
    if (!this.#text) {
      const text = await loadTextSide(companionFiles(store, manifest, createHasher));
      if (!text) throw new TokenizerError(`the bundle has no ${TOKENIZER_FILE}: text needs one`);
      yield () => {
        this.#text = text;
      };
    }
    for (let next = weights.next; next; next = weights.next) {
      const { shard, at } = next;
      const stream = await store.stream(shard.file, at);
      if (!stream) throw new CheckpointError("unreadable", `${shard.file} is missing from the bundle`);
      for await (const bytes of readPieces(stream.body, at - stream.begin)) {
        yield () => {
          const next = weights.next;
          if (next?.shard !== shard || bytes.length > shard.bytes - next.at)
            throw new CheckpointError("bytes", `${shard.file} has more than the ${shard.bytes} bytes of manifest.json`);
          weights.accept(bytes);
        };
      }
      if (weights.next?.shard === shard)
        throw new Error(`${shard.file} ended after ${weights.next.at} of ${shard.bytes} bytes`);
    }
    const model = createModel(manifest.config, backend, weights.finish(), { ring: manifest.ring });
    const { tokenizer, chat } = this.#text!;
    yield () => {
      this.#loaded = { id, digest: manifest.digest, model, tokenizer, chat };
    };
  }

  /** A transfer that broke off is tried again, by whoever looks next. Anything else ends this load for everybody. */
  #fail(error: unknown): void {
    const isBroken = error instanceof CheckpointError || error instanceof TokenizerError;
    if (error instanceof AerieError && !isBroken)
      this.#failure = error; // no room: it says so itself
    else if (isBroken || ++this.#brokenTransfers > MAX_BROKEN_TRANSFERS) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#failure = new ModelError("broken", `the model ${this.#options.id} can't be loaded: ${reason}`, {
        cause: error,
      });
    }
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await scheduler.wait(10 * POLL_MS);
}
