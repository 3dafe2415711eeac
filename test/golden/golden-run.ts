/** Runs a model over a golden case in some partition of its tokens, and says how far it is from DeepMind's numbers. */

import { nodeFolder } from "../../cli/node-folder.ts";
import type { CreateBackend } from "../../shared/backend/backend.ts";
import { allLogits, createState, type Model, type SavedState, saveState } from "../../shared/engine.ts";
import { loadModel } from "../../shared/load-model.ts";
import type { StateLayout, StateRegion } from "../../shared/model/state-layout.ts";
import type { GoldenCase } from "../oracle/golden-case.ts";

export interface GoldenRun {
  /** Per position of prompt and decode [V]. */
  readonly logits: Float32Array[];
  /** The state after a number of tokens, wherever the reference recorded one and the partition stops there. */
  readonly states: Map<number, SavedState>;
}

export async function loadGoldenModel(golden: GoldenCase, create: CreateBackend, weightsFile?: string): Promise<Model> {
  const folder = nodeFolder(`${golden.dir}/hf`);
  try {
    return await loadModel(folder, create, weightsFile ? { weightsFile } : {});
  } finally {
    await folder.close();
  }
}

/** Every way to feed a case's tokens, as lists of chunk lengths. */
export function partitions({ prompt, decode, config }: GoldenCase): Map<string, number[]> {
  const total = prompt.length + decode.length;
  const W = config.attention_window_size;
  const ways = new Map([
    ["one shot", [total]],
    ["prompt, then decode", [prompt.length, ...decode.map(() => 1)]],
  ]);
  for (const chunk of [1, 2, 3, 4, W - 1, W, W + 1]) {
    const chunks = Array.from({ length: Math.ceil(total / chunk) }, (_, i) => Math.min(chunk, total - i * chunk));
    ways.set(chunk === 1 ? "token by token" : `chunks of ${chunk}`, chunks);
  }
  return ways;
}

export async function runGolden(model: Model, golden: GoldenCase, chunks: number[]): Promise<GoldenRun> {
  const tokens = [...golden.prompt, ...golden.decode];
  const V = model.config.vocabSize;
  const state = createState(model);
  const run: GoldenRun = { logits: [], states: new Map() };
  for (const chunk of chunks) {
    const logits = await allLogits(model, state, tokens.slice(state.position, state.position + chunk));
    for (let t = 0; t < chunk; t++) run.logits.push(logits.slice(t * V, (t + 1) * V));
    if (state.position >= golden.prompt.length) run.states.set(state.position, await saveState(model, state));
  }
  return run;
}

/** max |logit − f64 reference| over all positions. NaN counts as infinitely wrong. */
export function worstLogit(run: GoldenRun, golden: GoldenCase): number {
  return Math.max(...golden.logits64.map((reference, position) => worst(run.logits[position], reference)));
}

/** max |state − f32 reference| over every recurrent, conv and ring state that the run recorded. */
export function worstState(run: GoldenRun, layout: StateLayout, golden: GoldenCase): number {
  let max = 0;
  for (const [position, saved] of run.states) {
    const stage = position === golden.prompt.length ? "prompt" : `decode.${position - golden.prompt.length - 1}`;
    const expected = golden.states.get(stage)!;
    for (const [name, region] of f32Regions(layout))
      max = Math.max(max, worst(f32(saved, region), expected.get(name)!.data));
  }
  return max;
}

/** The regions of an all-f32 layout under the golden names. */
function* f32Regions(layout: StateLayout): Generator<[string, StateRegion]> {
  for (const [block, state] of layout.blocks.entries()) {
    if (state.kind === "rg-lru") {
      yield [`blocks.${block}.rg_lru_state`, state.h];
      yield [`blocks.${block}.conv1d_state`, state.conv];
    } else {
      yield [`blocks.${block}.keys`, state.keys.rows];
      yield [`blocks.${block}.values`, state.values.rows];
    }
  }
}

function f32({ bytes }: SavedState, { offsetBytes, bytes: length }: StateRegion): Float32Array {
  return new Float32Array(bytes.slice(offsetBytes, offsetBytes + length).buffer);
}

export function worst(found: Float32Array, expected: Float64Array): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let max = 0;
  for (let at = 0; at < found.length; at++) {
    const difference = Math.abs(found[at] - expected[at]);
    if (!(difference <= max)) max = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return max;
}
