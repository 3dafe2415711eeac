/** How far the engine is from DeepMind's numbers, case by case: the table of the README. */

import { backends } from "../backends.ts";
import { GOLDEN_CASES, loadGoldenCase } from "../oracle/golden-case.ts";
import { loadGoldenModel, partitions, runGolden, worstLogit, worstState } from "./golden-run.ts";

process.stdout.write(
  "| case | backend | max logit difference from DeepMind's f64 | max state difference from its f32 |\n|---|---|---|---|\n",
);
for (const { name: backend, create } of backends) {
  for (const name of GOLDEN_CASES) {
    const golden = loadGoldenCase(name);
    const model = await loadGoldenModel(golden, create);
    const run = await runGolden(model, golden, partitions(golden).get("prompt, then decode")!);
    const figures = [worstLogit(run, golden), worstState(run, model.stateLayout, golden)].map((x) =>
      x.toExponential(1),
    );
    process.stdout.write(`| ${[name, backend, ...figures].join(" | ")} |\n`);
  }
}
