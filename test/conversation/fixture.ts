/** A conversation's object in a test: a database that outlives instances, a model, a clock, and what the host was told. */

import { createHash, createHmac } from "node:crypto";
import { ConversationCore, type ConversationHost } from "../../shared/conversation/conversation.ts";
import type { Admission, LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import { BusyError, ModelError } from "../../shared/conversation/model-source.ts";
import { plainSampling } from "../../shared/conversation/sampling-record.ts";
import { prepareSchema, tableNames } from "../../shared/conversation/schema.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { createStatelessRunner } from "../../shared/conversation/stateless.ts";
import type { StatelessRunner } from "../../shared/conversation/stateless-types.ts";
import type { TenantStore } from "../../shared/conversation/tenant-store.ts";
import type { CatalogueNote } from "../../shared/conversation/tenant-types.ts";
import type {
  Answer,
  BegunTurn,
  InputItem,
  ResponseRecord,
  SamplingRecord,
  TurnEvent,
  TurnRequest,
} from "../../shared/conversation/types.ts";
import { FaultPoints, InjectedFailure } from "./faults.ts";

export const digest = async (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Of a deployment whose key is "key". */
export const sign = async (bytes: Uint8Array) => new Uint8Array(createHmac("sha256", "key").update(bytes).digest());

export const greedy: SamplingRecord = { ...plainSampling, temperature: 0 };

export const sampled: SamplingRecord = { ...greedy, temperature: 1, seed: "20261122" };

export const user = (content: string): InputItem => ({ role: "user", content });

export function request(
  model: string,
  input: string | readonly InputItem[],
  options: Partial<TurnRequest> = {},
): TurnRequest {
  return {
    parent: { kind: "root" },
    model,
    input: typeof input === "string" ? [user(input)] : input,
    sampling: greedy,
    maxTokens: 24,
    stop: [],
    choices: 1,
    metadata: {},
    stored: false,
    background: false,
    whenUnread: "go on",
    ...options,
  };
}

export function unwrap<Value>(answer: Answer<Value>): Value {
  if (!answer.ok) throw Object.assign(new Error(answer.error.message), { refusal: answer.error });
  return answer.value;
}

export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<TurnEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) if (line !== "") yield JSON.parse(line) as TurnEvent;
  }
}

export async function allEvents(stream: ReadableStream<Uint8Array>): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  for await (const event of readEvents(stream)) events.push(event);
  return events;
}

/** The responses of a turn, once all have ended. */
export async function finished(turn: Answer<BegunTurn>): Promise<ResponseRecord[]> {
  const events = await allEvents(unwrap(turn).events);
  return events.flatMap((event) => (event.type === "end" ? [event.response] : []));
}

/** A source of one model that is there already, with as many places as are asked for. */
export function sourceOf(loaded: LoadedModel, options: { places?: number; tokensPerYield?: number } = {}): ModelSource {
  const { places = Number.POSITIVE_INFINITY, tokensPerYield = 4 } = options;
  let taken = 0;
  return {
    async load(id) {
      if (id !== loaded.id) throw new ModelError("unknown", `model: there is no ${id}, only ${loaded.id}`);
      return loaded;
    },
    admit(): Admission {
      if (taken >= places) throw new BusyError("no place", 1);
      taken++;
      return {
        tokensPerYield,
        yieldToEvents: () => new Promise((resolve) => setTimeout(resolve, 0)),
        release: () => {
          taken--;
        },
      };
    },
    discard: () => undefined,
  };
}

/** Computes what keeps nothing, as much of it as is asked for. */
export const statelessRunner = (models: ModelSource, requestTokens = Number.POSITIVE_INFINITY): StatelessRunner =>
  createStatelessRunner({ models, now: Date.now, requestTokens: () => requestTokens });

export interface TestObject {
  readonly sql: Sql;
  readonly notes: CatalogueNote[];
  readonly reports: string[];
  /** The storage was given back. */
  forgotten: boolean;
  /** What the host's forgetting waits for: the platform's takes many calls. */
  forgetting: Promise<void>;
  /** Milliseconds; moves only by hand if `clock` is set. */
  clock: number | null;
  wakeTimes: number[];
  segmentTokens: number;
  /** Resolves once nothing computes any more; rejects with what a turn or an alarm rejected with, which nobody hears of. */
  settled(): Promise<void>;
  /** Nothing that computes now is waited for any more. */
  abandon(): void;
  /** A new instance on the same database, as after an eviction; the old one is not told. */
  open(): ConversationCore;
  /** The same, with something that fails in it, or hashing that takes its time. */
  openWith(faults: FaultPoints, hashing?: () => Promise<void>): ConversationCore;
}

/** How often the platform tries a failed alarm again. */
const ALARM_TRIES = 6;

export const OBJECT = "0".repeat(64);

export interface TestObjectOptions {
  /** Its name in the tenant's catalogue. Default: `OBJECT`. */
  readonly name?: string;
  /** Hears what a real one would, besides what is recorded here. */
  readonly tenant?: Pick<TenantStore, "note" | "forget" | "forgetPrefixes">;
}

export function testObject(
  sql: Sql,
  models: ModelSource,
  { name = OBJECT, tenant }: TestObjectOptions = {},
): TestObject {
  const work = new Set<Promise<unknown>>();
  const unheard: unknown[] = [];
  const track = (promise: Promise<unknown>) => {
    const heard = promise.catch((error) => void unheard.push(error)).finally(() => work.delete(heard));
    work.add(heard);
  };
  const object: TestObject = {
    sql,
    notes: [],
    reports: [],
    forgotten: false,
    forgetting: Promise.resolve(),
    clock: null,
    wakeTimes: [],
    segmentTokens: Number.POSITIVE_INFINITY,
    async settled() {
      while (work.size > 0) await Promise.all(work);
      if (unheard.length > 0) throw unheard[0];
    },
    abandon: () => work.clear(),
    open: () => object.openWith(new FaultPoints(null)),
    openWith(faults, hashing = async () => undefined) {
      const now = () => object.clock ?? Date.now();
      const opened: { core: ConversationCore | null } = { core: null };
      const forgetPrefixes = faults.call("forget prefixes", async () => tenant?.forgetPrefixes(name));
      const forgetObject = faults.call("forget", async (updatedAt: number) => tenant?.forget(name, updatedAt));
      const host: ConversationHost = {
        object: name,
        tenant: "default",
        sql: faults.sql(sql),
        models: faults.models(models),
        digest: faults.call("digest", async (bytes) => {
          await hashing();
          return digest(bytes);
        }),
        sign: faults.call("sign", sign),
        now,
        sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
        segmentTokens: () => object.segmentTokens,
        wakeAt(milliseconds) {
          faults.pass("wakeAt");
          object.wakeTimes.push(milliseconds);
          if (milliseconds <= now()) track(ring(() => opened.core?.wake()));
        },
        keepAlive: track,
        note: faults.call("note", async (note) => {
          object.notes.push(note);
          await tenant?.note(note);
        }),
        report: (what, error) => void object.reports.push(`${what}: ${String(error)}`),
        async forget(updatedAt) {
          await object.forgetting;
          await forgetPrefixes();
          await forgetObject(updatedAt);
        },
        clear: faults.call("clear", async () => {
          for (const table of tableNames) sql.exec(`DROP TABLE ${table}`);
          prepareSchema(sql); // as a new instance does
          object.wakeTimes.length = 0;
          object.forgotten = true;
        }),
      };
      opened.core = new ConversationCore(host);
      return opened.core;
    },
  };
  return object;
}

async function ring(wake: () => Promise<void> | undefined): Promise<void> {
  for (let tries = 0; tries < ALARM_TRIES; tries++) {
    await new Promise((resolve) => setTimeout(resolve, tries));
    try {
      return await wake();
    } catch (error) {
      if (!(error instanceof InjectedFailure)) throw error;
    }
  }
}
