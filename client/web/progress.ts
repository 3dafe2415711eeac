/** What is told while a model comes into the browser. */

export interface DownloadProgress {
  readonly kind: "download";
  /** Bytes of the bundle that are here, of all. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Bytes that came over the network since this download began. */
  readonly fetchedBytes: number;
}

/** Why the version that was here before is used, and not one that the server calls its newest now. */
export interface Stale {
  /** A sentence that says what to do as well. */
  readonly reason: string;
  /** The digest of the server's newest version, where the server said so much. */
  readonly newest: string | null;
}

export type BundleProgress =
  | { readonly kind: "waiting" } // another tab has the bundle in its hands
  | { readonly kind: "evicted"; readonly files: readonly string[] } // by the browser, and fetched again next
  | DownloadProgress
  | { readonly kind: "ready"; readonly stale: Stale | null } // null: it is the server's newest version
  | { readonly kind: "damaged"; readonly files: readonly string[] }; // removed, and fetched again next

export type LoadProgress =
  | BundleProgress
  | { readonly kind: "loading"; readonly doneBytes: number; readonly totalBytes: number } // from the cache into the backend
  | { readonly kind: "compiling"; readonly done: number; readonly total: number }; // a GPU's pipelines
