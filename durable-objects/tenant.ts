/**
 * The object of one tenant: `<tenant>` holds its keys, catalogue, usage and claims; `<tenant>/<hex digit>` the prefixes
 * whose hash begins with that digit, so that lookups never queue behind the catalogue. The work is TenantStore's.
 */

import { DurableObject } from "cloudflare:workers";
import { TenantStore } from "../shared/conversation/tenant-store.ts";
import type { CatalogueNote, PrefixPort, PrefixTarget, TenantPort } from "../shared/conversation/tenant-types.ts";
import { durableSql } from "./durable-sql.ts";

/** The name of the object that holds a tenant's prefix. */
export function prefixObjectName(tenant: string, hash: string): string {
  return `${tenant}/${hash[0]}`;
}

export class Tenant extends DurableObject implements TenantPort, PrefixPort {
  readonly #store: TenantStore;
  /** Milliseconds since 1970, as the storage has it: setting an alarm costs a row, so it is set only to an earlier time. */
  #alarmAt: number | null = null;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    this.#store = new TenantStore(durableSql(ctx.storage), {
      now: () => Date.now(),
      wakeAt: (seconds) => this.#wakeAt(seconds * 1000),
    });
    ctx.blockConcurrencyWhile(async () => {
      this.#alarmAt = await ctx.storage.getAlarm();
    });
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    const next = this.#store.sweep();
    if (next !== null) this.#wakeAt(next * 1000);
  }

  // Not awaited: no reply leaves the object before the write is durable.
  #wakeAt(time: number): void {
    if (this.#alarmAt !== null && this.#alarmAt <= time) return;
    this.#alarmAt = time;
    void this.ctx.storage.setAlarm(time);
  }

  // -- TenantPort

  addKey(key: Parameters<TenantPort["addKey"]>[0]) {
    return this.#store.addKey(key);
  }

  listKeys() {
    return this.#store.listKeys();
  }

  revokeKey(id: string) {
    return this.#store.revokeKey(id);
  }

  holdsKey(id: string, sha256: string) {
    return this.#store.holdsKey(id, sha256);
  }

  register(object: string) {
    return this.#store.register(object);
  }

  note(note: CatalogueNote) {
    return this.#store.note(note);
  }

  forget(...erased: Parameters<TenantPort["forget"]>) {
    return this.#store.forget(...erased);
  }

  conversations(query: Parameters<TenantPort["conversations"]>[0]) {
    return this.#store.conversations(query);
  }

  objects(after: string | null, limit: number) {
    return this.#store.objects(after, limit);
  }

  usage() {
    return this.#store.usage();
  }

  claim(...claim: Parameters<TenantPort["claim"]>) {
    return this.#store.claim(...claim);
  }

  unclaim(key: string, requestHash: string) {
    return this.#store.unclaim(key, requestHash);
  }

  // -- PrefixPort

  findPrefix(hash: string) {
    return this.#store.findPrefix(hash);
  }

  putPrefix(hash: string, target: PrefixTarget, expiresAt: number | null) {
    return this.#store.putPrefix(hash, target, expiresAt);
  }

  forgetPrefixes(object: string) {
    return this.#store.forgetPrefixes(object);
  }
}
