/** What the HTTP routes stand on. A Worker hands in its bindings; Node and the browser their own. */

import type { StatelessRunner } from "../conversation/stateless-types.ts";
import type { PrefixPort, TenantPort } from "../conversation/tenant-types.ts";
import type { ConversationPort } from "../conversation/types.ts";

/** Who asks. */
export interface Identity {
  readonly tenant: string;
  readonly keyId: string;
}

export interface ModelListing {
  readonly id: string;
  readonly createdAt: number; // seconds since 1970
  readonly ownedBy: string;
  /** Used where a request names no model. */
  readonly isDefault: boolean;
  /** Whether who has a key may have the weights. Default: false. */
  readonly isDownloadable?: boolean;
}

/** One file of a model's bundle. */
export interface BundleFile {
  readonly bytes: number;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** Exactly `length` bytes from `offset` on, both within the file; breaks off with an error where they are not there. */
  stream(offset: number, length: number): Promise<ReadableStream<Uint8Array>>;
}

export interface Services {
  readonly models: readonly ModelListing[];
  /** A file of a model's bundle: the manifest, or what it names. null: none such. */
  bundleFile(model: string, file: string): Promise<BundleFile | null>;
  /** The identity behind an `Authorization` header. Throws an `ApiError` with status 401, or 503 where the server has no keys at all. */
  authenticate(authorization: string | null): Promise<Identity>;
  /** false: over the limit of requests for this identity. */
  withinRateLimit(identity: Identity): Promise<boolean>;

  readonly ids: Ids;
  /** An id for a conversation's object that does not exist yet. */
  newObject(): string;
  /** No I/O before a method is called. */
  conversation(tenant: string, object: string): ConversationPort;
  tenant(tenant: string): TenantPort;
  /** The part of a tenant's prefix index that holds a hash. */
  prefixes(tenant: string, hash: string): PrefixPort;
  readonly stateless: StatelessRunner;

  /** HMAC-SHA-256 under a key of this deployment and purpose, as 64 hexadecimal digits. */
  hmac(purpose: "prefix" | "idempotency", text: string): Promise<string>;
  /** A number from a good source of randomness, for seeds that were not given: 0 to 2⁶³ − 1. */
  drawSeed(): bigint;
  /** Milliseconds since 1970. */
  now(): number;
  /** Told of errors whose causes a client must not see. */
  report?(error: unknown, requestId: string): void;
}

/** What an id names. */
export type IdTarget =
  | { readonly kind: "conversation"; readonly object: string; readonly number: number } // conv_…, number = branch
  | { readonly kind: "response"; readonly object: string; readonly number: number } //     resp_…, number = node
  | { readonly kind: "item"; readonly object: string; readonly number: number; readonly index: number }; // msg_…, index −1 = the reply

/** Ids carry their object and a MAC under the deployment's key and the tenant: a forged or foreign one reaches no object. */
export interface Ids {
  encode(tenant: string, target: IdTarget): Promise<string>;
  /** null: not an id of this kind that this deployment made for this tenant. */
  decode(tenant: string, kind: IdTarget["kind"], id: string): Promise<IdTarget | null>;
}
