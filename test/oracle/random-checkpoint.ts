/** Where do tests get a checkpoint of any shape?  Seeded random weights under Hugging Face names.
 *
 *  Nothing is zero and no two layers agree, so that a swapped, transposed or forgotten tensor shows in the logits.
 *  The scales are those of a trained model in miniature: logits reach 1 to 4, and the RG-LRU forgets neither at once
 *  nor never. A tensor depends on the seed, its own name and its shape only. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mulberry32, seedOf } from "../ops/seeded.ts";
import type { Weights } from "./griffin-f64.ts";
import { blockTypeOf, type HfConfig, sizesOf } from "./hf-config.ts";
import { type Dtype, elementCount, roundTo, writeSafetensors } from "./safetensors.ts";

export interface Checkpoint {
  config: HfConfig;
  /** By Hugging Face name, in the order of the layers: what `forwardF64` takes. */
  tensors: Weights;
}

export interface RandomCheckpointOptions {
  /** Every value is exactly representable in this type. Default F32. */
  dtype?: Dtype;
  /** Diagonal blocks of the RG-LRU gates. Default num_attention_heads. */
  gateBlocks?: number;
}

export interface HfFolderOptions {
  /** What the files store. Default F32, which loses nothing. */
  dtype?: Dtype;
  /** Default 1: model.safetensors. More: model-0000i-of-0000n.safetensors and model.safetensors.index.json. */
  shards?: number;
}

type Uniform = () => number;
type Draw = (uniform: Uniform) => number;
type TensorSpec = [name: string, shape: number[], draw: Draw];

export function randomCheckpoint(config: HfConfig, seed: number, options: RandomCheckpointOptions = {}): Checkpoint {
  const tensors: Weights = new Map();
  for (const [name, shape, draw] of tensorSpecs(config, options.gateBlocks)) {
    const uniform = mulberry32(seed ^ seedOf(name));
    const data = new Float64Array(elementCount(shape)).map(() => roundTo(options.dtype ?? "F32", draw(uniform)));
    tensors.set(name, { shape, data });
  }
  return { config, tensors };
}

/** Writes config.json and the weights into `dir`, which is made if absent. */
export function writeHfFolder(dir: string, checkpoint: Checkpoint, options: HfFolderOptions = {}): void {
  const { dtype = "F32", shards = 1 } = options;
  const named = [...checkpoint.tensors].map(([name, tensor]) => ({ name, dtype, ...tensor }));
  const writeJson = (file: string, value: unknown) => writeFileSync(join(dir, file), JSON.stringify(value, null, 2));
  mkdirSync(dir, { recursive: true });
  writeJson("config.json", checkpoint.config);
  if (shards === 1) {
    writeFileSync(join(dir, "model.safetensors"), writeSafetensors(named));
    return;
  }
  const fiveDigits = (n: number) => String(n).padStart(5, "0");
  const weightMap: Record<string, string> = {};
  for (let i = 0; i < shards; i++) {
    const file = `model-${fiveDigits(i + 1)}-of-${fiveDigits(shards)}.safetensors`;
    const part = named.slice((i * named.length) / shards, ((i + 1) * named.length) / shards);
    for (const { name } of part) weightMap[name] = file;
    writeFileSync(join(dir, file), writeSafetensors(part));
  }
  const valueCount = named.reduce((count, { data }) => count + data.length, 0);
  const totalBytes = valueCount * (dtype === "F32" ? 4 : 2);
  writeJson("model.safetensors.index.json", { metadata: { total_size: totalBytes }, weight_map: weightMap });
}

function* tensorSpecs(config: HfConfig, gateBlocks: number | undefined): Generator<TensorSpec> {
  const { V, D, E, G, B, K, F, H, KV, d } = sizesOf(config, gateBlocks);
  const bias = normal(0.15);
  const normScale = normal(0.3);
  /** Keeps the variance of its input. */
  const fanIn = (n: number) => normal(1 / Math.sqrt(n));
  /** Writes to the residual stream: loud enough that every block counts. */
  const intoStream = (n: number) => normal(1.5 / Math.sqrt(n));
  const unembed = normal(0.8 / Math.sqrt(D));

  yield ["model.embed_tokens.weight", [V, D], unembed];
  for (let n = 0; n < config.num_hidden_layers; n++) {
    const layer = `model.layers.${n}`;
    const block = `${layer}.temporal_block`;
    yield [`${layer}.temporal_pre_norm.weight`, [D], normScale];
    if (blockTypeOf(config, n) === "recurrent") {
      yield [`${block}.linear_y.weight`, [E, D], fanIn(D)];
      yield [`${block}.linear_y.bias`, [E], bias];
      yield [`${block}.linear_x.weight`, [E, D], fanIn(D)];
      yield [`${block}.linear_x.bias`, [E], bias];
      yield [`${block}.linear_out.weight`, [D, E], intoStream(E)];
      yield [`${block}.linear_out.bias`, [D], bias];
      yield [`${block}.conv_1d.weight`, [E, 1, K], fanIn(K)];
      yield [`${block}.conv_1d.bias`, [E], bias];
      yield [`${block}.rg_lru.recurrent_param`, [E], recurrentParam];
      for (const gate of ["input_gate", "recurrent_gate"]) {
        yield [`${block}.rg_lru.${gate}_weight`, [G, B, B], fanIn(B)];
        yield [`${block}.rg_lru.${gate}_bias`, [G, B], bias];
      }
    } else {
      yield [`${block}.q_proj.weight`, [H * d, D], fanIn(D)];
      yield [`${block}.k_proj.weight`, [KV * d, D], fanIn(D)];
      yield [`${block}.v_proj.weight`, [KV * d, D], fanIn(D)];
      yield [`${block}.o_proj.weight`, [D, H * d], intoStream(H * d)];
      yield [`${block}.o_proj.bias`, [D], bias];
    }
    yield [`${layer}.channel_pre_norm.weight`, [D], normScale];
    for (const branch of ["gate_proj", "up_proj"]) {
      yield [`${layer}.mlp_block.${branch}.weight`, [F, D], fanIn(D)];
      yield [`${layer}.mlp_block.${branch}.bias`, [F], bias];
    }
    yield [`${layer}.mlp_block.down_proj.weight`, [D, F], intoStream(F)];
    yield [`${layer}.mlp_block.down_proj.bias`, [D], bias];
  }
  yield ["model.final_norm.weight", [D], normScale];
  if (!(config.tie_word_embeddings ?? true)) yield ["lm_head.weight", [V, D], unembed];
}

/** Of mean 0; the sum of four uniforms stands in for the bell, because it is exact on every machine. */
function normal(standardDeviation: number): Draw {
  return (uniform) => standardDeviation * Math.sqrt(3) * (uniform() + uniform() + uniform() + uniform() - 2);
}

/** Λ such that a gate that is half open (r = 1/2) decays by a, uniform in 0.86 to 0.998: softplus(Λ) = −ln(a) / 4. */
function recurrentParam(uniform: Uniform): number {
  const a = 0.86 + 0.138 * uniform();
  return Math.log(Math.expm1(-Math.log(a) / 4));
}
