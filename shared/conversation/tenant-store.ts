/**
 * A tenant's keys, catalogue, usage and claims, and its prefix index, on one object's SQLite. A Durable Object and Node
 * put it behind the ports; its methods are async in form only, so nothing comes between the statements of one call.
 *
 * Times are seconds since 1970, `expiresAt` too.
 */

import { sameBytes, utf8 } from "../bytes.ts";
import { AerieError } from "../errors.ts";
import type { Sql, SqlRow } from "./sql.ts";
import { forgetObject, knownObjects, listedPage, noteObject, registerObject, usageTotals } from "./tenant-catalogue.ts";
import { EXPIRY_GRACE_SECONDS, sweepTenant, TOMBSTONE_SECONDS } from "./tenant-sweep.ts";
import { createTenantTables } from "./tenant-tables.ts";
import type {
  CatalogueNote,
  CataloguePage,
  KeyRecord,
  PrefixPort,
  PrefixTarget,
  TenantPort,
  UsageTotals,
} from "./tenant-types.ts";

/** How long an idempotency key is remembered. */
export const CLAIM_SECONDS = 24 * 3600;

/** A registered conversation of which nothing was heard is dropped after this: longer than anything stored lives unused. */
export const UNHEARD_SECONDS = 31 * 24 * 3600;

export interface TenantStoreOptions {
  /** Milliseconds since 1970. */
  now(): number;
  /**
   * Asks for `sweep` to be called at that time (seconds since 1970), or earlier if that was asked before. It is asked before
   * what will have to be swept is written: asked again after a failure, the store may find nothing new to write.
   */
  wakeAt(seconds: number): void;
}

type Claim = Awaited<ReturnType<TenantPort["claim"]>>;

export class TenantStore implements TenantPort, PrefixPort {
  readonly #sql: Sql;
  readonly #options: TenantStoreOptions;

  constructor(sql: Sql, options: TenantStoreOptions) {
    this.#sql = sql;
    this.#options = options;
    createTenantTables(sql);
  }

  // -- keys

  async addKey({ id, name, sha256 }: { id: string; name: string; sha256: string }): Promise<KeyRecord> {
    // Sent again after a lost reply, it finds its own row.
    this.#sql.exec(
      "INSERT INTO keys (id, name, sha256, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
      id,
      name,
      sha256,
      this.#now(),
    );
    const row = this.#keyRow(id);
    if (row?.sha256 !== sha256) throw new AerieError("tenant.key", `another key has the id ${id}`);
    return toKeyRecord(row);
  }

  async listKeys(): Promise<KeyRecord[]> {
    return this.#sql.exec("SELECT * FROM keys ORDER BY created_at, id").map(toKeyRecord);
  }

  async revokeKey(id: string): Promise<KeyRecord | null> {
    this.#sql.exec("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", this.#now(), id);
    const row = this.#keyRow(id);
    return row ? toKeyRecord(row) : null;
  }

  async holdsKey(id: string, sha256: string): Promise<boolean> {
    const row = this.#keyRow(id);
    return row !== undefined && row.revoked_at === null && sameBytes(utf8(String(row.sha256)), utf8(sha256));
  }

  // -- the catalogue

  async register(object: string): Promise<void> {
    const expiresAt = this.#now() + UNHEARD_SECONDS;
    this.#options.wakeAt(expiresAt + EXPIRY_GRACE_SECONDS);
    registerObject(this.#sql, object, expiresAt);
  }

  async note(note: CatalogueNote): Promise<void> {
    if (note.expiresAt !== null) this.#options.wakeAt(note.expiresAt + EXPIRY_GRACE_SECONDS);
    noteObject(this.#sql, note);
  }

  async forget(object: string, updatedAt = 0): Promise<void> {
    const now = this.#now();
    this.#options.wakeAt(now + TOMBSTONE_SECONDS);
    this.#sql.transaction(() => forgetObject(this.#sql, object, now, updatedAt));
  }

  /** Behind a conversation that was deleted it goes on for a day; behind one that the catalogue never listed is nothing. */
  async conversations(query: Parameters<TenantPort["conversations"]>[0]): Promise<CataloguePage> {
    return listedPage(this.#sql, query, this.#now());
  }

  async objects(after: string | null, limit: number): Promise<string[]> {
    return knownObjects(this.#sql, after, limit);
  }

  async usage(): Promise<UsageTotals> {
    return usageTotals(this.#sql);
  }

  // -- idempotency keys

  async claim(
    key: string,
    requestHash: string,
    target: { readonly object: string; readonly node: number | null },
  ): Promise<Claim> {
    const now = this.#now();
    const [claimed] = this.#sql.exec("SELECT * FROM claims WHERE key = ? AND expires_at > ?", key, now);
    if (claimed) {
      if (claimed.request_hash !== requestHash) return "conflict";
      return { object: String(claimed.object), node: claimed.node === null ? null : Number(claimed.node) };
    }
    this.#options.wakeAt(now + CLAIM_SECONDS);
    this.#sql.exec(
      "INSERT OR REPLACE INTO claims (key, request_hash, object, node, expires_at) VALUES (?, ?, ?, ?, ?)",
      key,
      requestHash,
      target.object,
      target.node,
      now + CLAIM_SECONDS,
    );
    return { object: target.object, node: target.node };
  }

  async unclaim(key: string, requestHash: string): Promise<void> {
    this.#sql.exec("DELETE FROM claims WHERE key = ? AND request_hash = ?", key, requestHash);
  }

  // -- the prefix index

  async findPrefix(hash: string): Promise<PrefixTarget | null> {
    const [row] = this.#sql.exec(
      "SELECT object, node FROM prefixes WHERE hash = ? AND (expires_at IS NULL OR expires_at > ?)",
      hash,
      this.#now(),
    );
    return row ? { object: String(row.object), node: Number(row.node) } : null;
  }

  async putPrefix(hash: string, target: PrefixTarget, expiresAt: number | null): Promise<void> {
    if (expiresAt !== null) this.#options.wakeAt(expiresAt);
    this.#sql.exec(
      "INSERT OR REPLACE INTO prefixes (hash, object, node, expires_at) VALUES (?, ?, ?, ?)",
      hash,
      target.object,
      target.node,
      expiresAt,
    );
  }

  /** Reads every prefix in here. An index by object would cost one more row written per turn, as much as a thousand rows read. */
  async forgetPrefixes(object: string): Promise<void> {
    this.#sql.exec("DELETE FROM prefixes WHERE object = ?", object);
  }

  // -- the alarm

  /** Throws away a batch of what has expired. The time of the next call, in seconds since 1970; null: none is needed. */
  sweep(): number | null {
    return sweepTenant(this.#sql, this.#now()).nextAt;
  }

  #now(): number {
    return Math.floor(this.#options.now() / 1000);
  }

  #keyRow(id: string): SqlRow | undefined {
    return this.#sql.exec("SELECT * FROM keys WHERE id = ?", id)[0];
  }
}

function toKeyRecord({ id, name, created_at, revoked_at }: SqlRow): KeyRecord {
  return {
    id: String(id),
    name: String(name),
    createdAt: Number(created_at),
    revokedAt: revoked_at === null ? null : Number(revoked_at),
  };
}
