/** What runs in Node before the tests of workerd hands to them. */

import "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** Of the default model's bundle. */
    nodeLogits: { tokens: number[]; logits: number[] };
  }
}
