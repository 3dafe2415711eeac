/** The object of one conversation: its storage, its alarm and its isolate's models around the core, which does the work. */

import { DurableObject } from "cloudflare:workers";
import { createSecrets } from "../shared/api/secrets.ts";
import { toHex } from "../shared/bytes.ts";
import { ConversationCore } from "../shared/conversation/conversation.ts";
import { readTenant } from "../shared/conversation/meta.ts";
import { beginsAnew, type PortCall, refuseCall } from "../shared/conversation/port-call.ts";
import type { ConversationPort } from "../shared/conversation/types.ts";
import { segmentTokens } from "./compute-pace.ts";
import { durableSql, newCounters, type StorageCounters } from "./durable-sql.ts";
import { modelHost } from "./model-host.ts";
import { prefixObjectName } from "./tenant.ts";

const ALARM_RETRY_MS = 60_000;

// A first turn that was refused leaves empty tables, which cost as much as a short conversation: no other may be on its way then.
const EMPTY_MS = 3600_000;

const HEX_DIGITS = [..."0123456789abcdef"];

export class Conversation extends DurableObject<Cloudflare.Env> {
  #core: { readonly tenant: string; readonly port: ConversationCore } | null = null;
  /** Milliseconds since 1970, as the storage has it: setting an alarm costs a row, so it is set only to an earlier time. */
  #alarmAt: number | null = null;
  readonly #counters: StorageCounters = newCounters();

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      this.#alarmAt = await ctx.storage.getAlarm();
    });
  }

  /** One method of the port, asked by a tenant. */
  async call<Method extends keyof ConversationPort>(
    tenant: string,
    method: Method,
    args: Parameters<ConversationPort[Method]>,
  ): Promise<Awaited<ReturnType<ConversationPort[Method]>>> {
    const core = this.#open(tenant, beginsAnew(method, args));
    if (!core) return refuseCall(method, args);
    const port = core[method].bind(core) as PortCall<Method>;
    let isDone = false;
    try {
      const answer = (await port(...args)) as Awaited<ReturnType<ConversationPort[Method]>>;
      isDone = answer?.ok ?? true;
      return answer;
    } finally {
      if (!isDone && readTenant(durableSql(this.ctx.storage)) === null) this.#wakeAt(Date.now() + EMPTY_MS);
    }
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    try {
      const tenant = readTenant(durableSql(this.ctx.storage));
      if (tenant === null) await this.#clear();
      else await this.#open(tenant, false)?.wake();
    } catch (error) {
      // The runtime tries six times, then never again: what is due would stay for ever.
      console.error("what was due was not done", error);
      this.#wakeAt(Date.now() + ALARM_RETRY_MS);
    }
  }

  /**
   * null: there is no conversation here, and none is begun: what was deleted must not take storage again because somebody
   * asks for it. Or it is another tenant's: an id's MAC says so before; this is the second lock.
   */
  #open(tenant: string, isNew: boolean): ConversationCore | null {
    const sql = durableSql(this.ctx.storage, this.#counters);
    const owner = this.#core?.tenant ?? readTenant(sql) ?? (isNew ? tenant : null);
    if (owner !== tenant) return null;
    this.#core ??= { tenant, port: this.#createCore(tenant) };
    return this.#core.port;
  }

  #createCore(tenant: string): ConversationCore {
    const { storage } = this.ctx;
    const { TENANTS, AERIE_SECRET, AERIE_SEGMENT_SECONDS } = this.env;
    const secrets = createSecrets(AERIE_SECRET);
    const object = this.ctx.id.toString();
    const catalogue = () => TENANTS.get(TENANTS.idFromName(tenant));
    return new ConversationCore({
      object,
      tenant,
      sql: durableSql(storage, this.#counters),
      models: modelHost(this.env),
      digest: async (bytes) => toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))),
      sign: (bytes) => secrets.mac("state-file", bytes),
      now: () => Date.now(),
      sleep: (milliseconds) => scheduler.wait(milliseconds),
      segmentTokens: ({ model }) => segmentTokens(model.config, AERIE_SEGMENT_SECONDS),
      wakeAt: (milliseconds) => this.#wakeAt(milliseconds),
      keepAlive: (work) => this.ctx.waitUntil(work.finally(() => this.#logTurn())),
      report: (what, error) => console.error(what, error),
      note: (note) => catalogue().note(note),
      forget: async (updatedAt) => {
        const shards = HEX_DIGITS.map((digit) => TENANTS.get(TENANTS.idFromName(prefixObjectName(tenant, digit))));
        await Promise.all(shards.map((shard) => shard.forgetPrefixes(object)));
        await catalogue().forget(object, updatedAt);
      },
      clear: () => this.#clear(),
    });
  }

  /** One call, which takes the alarm along: killed between two, the storage would be left without one, for ever. */
  async #clear(): Promise<void> {
    await this.ctx.storage.deleteAll();
    this.#alarmAt = null;
    this.#core = null; // not before: a new core would accept what is about to be wiped
  }

  /** For the operator: what a turn moved in the storage, and whatever else was asked since the one before. */
  #logTurn(): void {
    console.log(JSON.stringify({ event: "turn", object: this.ctx.id.toString(), ...this.#counters }));
    Object.assign(this.#counters, newCounters());
  }

  // Not awaited: no reply leaves the object before the write is durable.
  #wakeAt(milliseconds: number): void {
    if (this.#alarmAt !== null && this.#alarmAt <= milliseconds) return;
    this.#alarmAt = milliseconds;
    void this.ctx.storage.setAlarm(milliseconds);
  }
}
