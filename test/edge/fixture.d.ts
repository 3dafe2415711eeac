declare namespace Cloudflare {
  interface Env {
    /** Of the fixture alone. */
    readonly LOADERS: DurableObjectNamespace<import("./fixture-worker.ts").Loader>;
  }
  interface GlobalProps {
    mainModule: typeof import("./fixture-worker.ts");
  }
}
