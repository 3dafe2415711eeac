/** Makes a random bf16 checkpoint of a preset's shape in Hugging Face's format, shard by shard: something large to convert. */

import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ModelConfig } from "../shared/model/config.ts";
import { presets } from "../shared/model/presets.ts";
import { elements, type WeightSpec, weightTable } from "../shared/model/weight-table.ts";
import { weightLeaves } from "../shared/model/weight-tree.ts";

const SHARD_BYTES = 2e9;
const PIECE_BYTES = 2 ** 22;
const pieces = new Map<number, Uint8Array>();

if (import.meta.main) {
  const { values: args } = parseArgs({
    options: { shape: { type: "string", default: "2b" }, out: { type: "string" } },
  });
  const config: ModelConfig | undefined = presets[args.shape as keyof typeof presets];
  if (!args.out || !config) {
    process.stderr.write(
      `usage: node bench/make-checkpoint.ts --out <dir> [--shape ${Object.keys(presets).join("|")}]\n`,
    );
    process.exit(2);
  }
  await makeCheckpoint(config, args.out, (file, tensors) => process.stderr.write(`${file}: ${tensors} tensors\n`));
}

/** Writes config.json and the shards into `out`, which is made if need be. */
export async function makeCheckpoint(
  config: ModelConfig,
  out: string,
  onShard: (file: string, tensors: number) => unknown = () => undefined,
): Promise<void> {
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "config.json"), JSON.stringify(hfConfig(config), null, 2));
  const shards = group(weightLeaves(weightTable(config)));
  const weightMap: Record<string, string> = {};
  for (const [i, specs] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    for (const { name } of specs) weightMap[name] = file;
    await writeShard(join(out, file), specs);
    onShard(file, specs.length);
  }
  await writeFile(join(out, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

function group(specs: WeightSpec[]): WeightSpec[][] {
  const groups: WeightSpec[][] = [[]];
  let bytes = 0;
  for (const spec of specs) {
    const size = 2 * elements(spec.shape);
    if (bytes > 0 && bytes + size > SHARD_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups[groups.length - 1].push(spec);
    bytes += size;
  }
  return groups;
}

async function writeShard(path: string, specs: WeightSpec[]): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of specs) {
    const begin = end;
    end += 2 * elements(shape);
    header[name] = { dtype: "BF16", shape, data_offsets: [begin, end] };
  }
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  const handle = await open(path, "w");
  await handle.write(length);
  await handle.write(text);
  for (const { shape, role } of specs) {
    const piece = pieceOf(role === "norm" || role === "bias" ? 0.1 : 1 / Math.sqrt(shape[shape.length - 1]));
    for (let left = 2 * elements(shape); left > 0; left -= PIECE_BYTES)
      await handle.write(piece.subarray(0, Math.min(left, PIECE_BYTES)));
  }
  await handle.close();
}

/** Numbers of one deviation, made once and repeated: a converter can't tell. */
function pieceOf(deviation: number): Uint8Array {
  const piece = pieces.get(deviation) ?? randomBf16(PIECE_BYTES / 2, deviation);
  pieces.set(deviation, piece);
  return piece;
}

/** Roughly normal: the sum of four uniform numbers. */
function randomBf16(count: number, deviation: number): Uint8Array {
  const sum = () => Math.random() + Math.random() + Math.random() + Math.random() - 2;
  const bits = new Uint32Array(Float32Array.from({ length: count }, () => deviation * 1.73 * sum()).buffer);
  return new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer);
}

function hfConfig(c: ModelConfig): object {
  return {
    architectures: ["RecurrentGemmaForCausalLM"],
    model_type: "recurrent_gemma",
    vocab_size: c.vocabSize,
    hidden_size: c.width,
    intermediate_size: 2 * c.mlpWidth,
    num_hidden_layers: c.mixers.length,
    num_attention_heads: c.heads,
    num_key_value_heads: c.kvHeads,
    head_dim: c.headDim,
    lru_width: c.lruWidth,
    attention_window_size: c.windowSize,
    conv1d_width: c.convWidth,
    logits_soft_cap: c.logitSoftCap,
    block_types: ["recurrent", "recurrent", "attention"],
    bos_token_id: 2,
    eos_token_id: 1,
    pad_token_id: 0,
  };
}
