/** Runs in Node before the tests of workerd: what the default model computes here. */

import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { openModel } from "../cli/model-argument.ts";
import { allLogits, createState } from "../shared/engine.ts";

const BUNDLE = fileURLToPath(new URL("../build/assets/models/fledgling-4m", import.meta.url));

export default async function setup(project: TestProject): Promise<void> {
  const model = await openModel(BUNDLE, { backend: "wasm", window: "deepmind" });
  const tokens = Array.from({ length: 100 }, (_, at) => (at * 37 + 5) % model.config.vocabSize);
  const logits = [...(await allLogits(model, createState(model), tokens))];
  project.provide("nodeLogits", { tokens, logits });
}
