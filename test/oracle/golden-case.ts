/** What did DeepMind's reference compute?  Loads one folder of test/golden, checked against its manifest.
 *
 *  The reference ran with a batch of one; that leading axis is dropped from every shape here. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HfConfig } from "./hf-config.ts";
import { elementCount, type Tensor } from "./safetensors.ts";

export const GOLDEN_CASES = ["griffin-a", "hawk-c", "griffin-d"] as const;
export type GoldenCaseName = (typeof GOLDEN_CASES)[number];

export interface GoldenCase {
  /** The case's folder; the checkpoint is in `hf/`: config.json, model.safetensors, model-bf16.safetensors. */
  dir: string;
  /** hf/config.json. */
  config: HfConfig;
  /** The prompt's tokens, at positions 0 … T−1. */
  prompt: number[];
  /** The tokens then fed one by one, at positions T, T+1, … */
  decode: number[];
  /** Per position of prompt and decode, [V]: the f64 reference's logits after the soft cap. */
  logits64: Float64Array[];
  /** After each stage, `prompt`, `decode.0`, `decode.1`, …: the f32 reference's state by `blocks.N.field`.
   *
   *  recurrent  rg_lru_state [E]; conv1d_state [3, E], the last inputs of the conv, oldest first
   *  attention  keys, values [window, 1, head_dim], keys after RoPE, position p in slot p mod window, else 0;
   *             num_tokens [] */
  states: Map<string, Map<string, Tensor>>;
  /** The f32 reference's activations over the prompt, [T, width] each: `embed` (scaled), `blocks.N.conv_1d` and
   *  `blocks.N.rg_lru` (recurrent blocks only), `blocks.N.temporal` (before the residual add), `blocks.N.out`,
   *  `final_norm`. */
  acts: Map<string, Tensor>;
  /** What the reference measured about itself; see test/golden/README.md. */
  checks: Record<string, number>;
}

interface Manifest {
  checks: Record<string, number>;
  files: { file: string; bytes: number; sha256: string; tensors: ManifestTensor[] }[];
}

interface ManifestTensor {
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
  bytes: number;
}

const goldenFolder = fileURLToPath(new URL("../golden", import.meta.url));

export function loadGoldenCase(name: GoldenCaseName): GoldenCase {
  const dir = join(goldenFolder, name);
  const manifest: Manifest = parseJson(join(dir, "manifest.json"));
  const config: HfConfig = parseJson(join(dir, "hf", "config.json"));
  const tokens = readTensors(dir, manifest, "tokens.i32.bin");
  const logits = readTensors(dir, manifest, "logits.f64.bin");
  const prompt = [...get(tokens, "prompt").data];
  const decode = [...get(tokens, "decode").data];
  const logits64 = [
    ...rowsOf(get(logits, "prompt"), prompt.length, config.vocab_size),
    ...decode.flatMap((_, i) => rowsOf(get(logits, `decode.${i}`), 1, config.vocab_size)),
  ];

  const states = new Map<string, Map<string, Tensor>>();
  for (const [path, tensor] of readTensors(dir, manifest, "states.bin")) {
    const [stage = "", field = ""] = path.split("/");
    if (!states.has(stage)) states.set(stage, new Map());
    states.get(stage)!.set(field, tensor);
  }
  if (states.size !== 1 + decode.length)
    throw new Error(`${name}: ${states.size} stages, ${decode.length} decode steps`);
  const acts = readTensors(dir, manifest, "acts.f32.bin");
  return { dir, config, prompt, decode, logits64, states, acts, checks: manifest.checks };
}

/** The tensors of one .bin file, by name, without their leading batch axis. */
function readTensors(dir: string, manifest: Manifest, file: string): Map<string, Tensor> {
  const entry = manifest.files.find((candidate) => candidate.file === file);
  if (!entry) throw new Error(`${dir}: the manifest does not list ${file}`);
  const bytes = readFileSync(join(dir, file));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (bytes.length !== entry.bytes || sha256 !== entry.sha256) {
    throw new Error(`${dir}: ${file} is not the file of the manifest (${bytes.length} of ${entry.bytes} bytes)`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = 0;
  const tensors = new Map<string, Tensor>();
  for (const spec of entry.tensors) {
    if (spec.offset !== end) throw new Error(`${file}: ${spec.name} starts at ${spec.offset}, not at ${end}`);
    tensors.set(spec.name, readTensor(view, spec));
    end += spec.bytes;
  }
  if (end !== bytes.length) throw new Error(`${file}: its tensors take ${end} of ${bytes.length} bytes`);
  return tensors;
}

function readTensor(view: DataView, { name, dtype, shape, offset, bytes }: ManifestTensor): Tensor {
  const valueBytes = dtype === "f64" ? 8 : 4;
  const count = elementCount(shape);
  if (bytes !== count * valueBytes) throw new Error(`${name}: ${bytes} bytes do not hold ${shape.join("×")} ${dtype}`);
  const value = (i: number) => {
    const at = offset + i * valueBytes;
    if (dtype === "f64") return view.getFloat64(at, true);
    if (dtype === "f32") return view.getFloat32(at, true);
    if (dtype === "i32") return view.getInt32(at, true);
    throw new Error(`${name}: unknown dtype ${dtype}`);
  };
  if (shape[0] !== 1) throw new Error(`${name}: its batch is ${shape[0]}, not 1`);
  return { shape: shape.slice(1), data: new Float64Array(count).map((_, i) => value(i)) };
}

function rowsOf({ data }: Tensor, count: number, width: number): Float64Array[] {
  if (data.length !== count * width) throw new Error(`${data.length} values are not ${count} rows of ${width}`);
  return Array.from({ length: count }, (_, t) => data.slice(t * width, (t + 1) * width));
}

function get(tensors: Map<string, Tensor>, name: string): Tensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`${name} is missing`);
  return tensor;
}

function parseJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, "utf8"));
}
