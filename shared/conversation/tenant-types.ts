/** What a tenant's object keeps, as plain data: keys, the catalogue of conversations, usage, the prefix index. */

/** An API key as it is stored: never the key itself. */
export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number; // seconds since 1970
  readonly revokedAt: number | null;
}

/** Tokens of a conversation or a tenant, all turns together. */
export interface UsageTotals {
  readonly turns: number;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** What a conversation's object tells its tenant after a change. Totals, not differences: said twice, it counts once. */
export interface CatalogueNote {
  readonly object: string;
  readonly createdAt: number;
  /** Milliseconds since 1970, higher than that of every note about an earlier change: they may arrive in any order. */
  readonly updatedAt: number;
  /** When everything in it is gone; null: kept until it is deleted. */
  readonly expiresAt: number | null;
  readonly usage: UsageTotals;
  /** Its listed conversations, newest state each. */
  readonly branches: readonly { readonly branch: number; readonly createdAt: number }[];
}

export interface CataloguePage {
  /** Newest first. */
  readonly conversations: readonly { readonly object: string; readonly branch: number; readonly createdAt: number }[];
  readonly hasMore: boolean;
}

/** A place in a conversation that some message history leads to. */
export interface PrefixTarget {
  readonly object: string;
  readonly node: number;
}

export interface TenantPort {
  addKey(key: { readonly id: string; readonly name: string; readonly sha256: string }): Promise<KeyRecord>;
  listKeys(): Promise<readonly KeyRecord[]>;
  /** null: there is no such key. */
  revokeKey(id: string): Promise<KeyRecord | null>;
  /** Whether a key with this id and hash was added and not revoked. Compared in constant time. */
  holdsKey(id: string, sha256: string): Promise<boolean>;

  /** Before a conversation's object is first written to, so that nothing exists which the catalogue can't find. */
  register(object: string): Promise<void>;
  note(note: CatalogueNote): Promise<void>;
  /** `updatedAt`: of the change that erased it, so that notes about earlier ones stay without effect. */
  forget(object: string, updatedAt?: number): Promise<void>;
  conversations(query: {
    readonly limit: number;
    readonly order: "asc" | "desc";
    readonly after?: { readonly object: string; readonly branch: number };
  }): Promise<CataloguePage>;
  /** Every object of the tenant, listed or not: for export and erasure. `after` the last one of the page before. */
  objects(after: string | null, limit: number): Promise<readonly string[]>;
  usage(): Promise<UsageTotals>;

  /**
   * The first to claim an idempotency key says where its request runs; everyone after is told that place. A claim is kept
   * for a day. `requestHash` differs: "conflict".
   */
  claim(
    key: string,
    requestHash: string,
    target: { readonly object: string; readonly node: number | null },
  ): Promise<{ readonly object: string; readonly node: number | null } | "conflict">;
  /** Takes a claim back, that of this request only. */
  unclaim(key: string, requestHash: string): Promise<void>;
}

/** Of one tenant and one part of all hashes: which message histories lie in which conversations. */
export interface PrefixPort {
  findPrefix(hash: string): Promise<PrefixTarget | null>;
  putPrefix(hash: string, target: PrefixTarget, expiresAt: number | null): Promise<void>;
  forgetPrefixes(object: string): Promise<void>;
}
