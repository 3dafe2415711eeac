/** What wrangler.toml binds for the Worker and its objects: the `env` of both. */

declare namespace Cloudflare {
  interface Env {
    readonly CONVERSATIONS: DurableObjectNamespace<import("./conversation.ts").Conversation>;
    readonly TENANTS: DurableObjectNamespace<import("./tenant.ts").Tenant>;
    /** The bundles that are deployed along. */
    readonly ASSETS: Fetcher;
    /** The bundles of other models. */
    readonly MODELS: R2Bucket;
    readonly RATE_LIMIT: RateLimit;
    /** JSON (model-catalogue.ts). */
    readonly AERIE_MODELS: string;
    /** Compute per event of an object before a turn is cut; default 10 (compute-pace.ts). */
    readonly AERIE_SEGMENT_SECONDS?: string;
    /** Absent until somebody sets it. */
    readonly AERIE_SECRET?: string;
  }
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
