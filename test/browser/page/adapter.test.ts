/** The suites in this page judge WebGPU: without an adapter they would have nothing to say about it, and pass. */

import { expect, test } from "vitest";
import { backends, gpu } from "../../backends.ts";

test("there is an adapter, SwiftShader, and it is judged", () => {
  console.log(`the page's adapter: ${gpu?.name}`);
  expect(gpu?.name).toMatch(/^google swiftshader/);
  expect(gpu?.isSoftware).toBe(true);
  expect(backends.map(({ name }) => name)).toContain("webgpu, threads");
});
