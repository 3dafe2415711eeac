/**
 * Writes a random model of the llama architecture as a GGUF file, version 3:
 *
 *    "GGUF" version  counts │ metadata: key, type, value │ tensors: name, sides, type, offset │ padding │ data, 32-byte aligned
 *
 * A side list begins with the contiguous side, so a [rows, columns] matrix reads "columns, rows".
 */

import { closeSync, openSync, writeSync } from "node:fs";
import { f32ToF16 } from "../../shared/backend/dtype.ts";
import { fillWith, randomStretch } from "./random-bytes.ts";

export interface LlamaShape {
  readonly layers: number;
  readonly width: number;
  readonly mlpWidth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabSize: number;
  readonly contextSize: number;
}

/** Both have an f16 scale per block of 32 weights: 4.5 and 8.5 bits a weight. */
export type GgufDType = "Q4_0" | "Q8_0";

const BLOCK_WEIGHTS = 32;
const ALIGNMENT_BYTES = 32;

// `type` is ggml's tensor type, `fileType` llama.cpp's name for a file of nothing else; `spread` is an integer's standard deviation.
const formats = {
  Q4_0: { type: 2, fileType: 2, blockBytes: 18, spread: 4.6 },
  Q8_0: { type: 8, fileType: 7, blockBytes: 34, spread: 73.9 },
} as const;
const F32_TYPE = 0;

interface TensorSpec {
  readonly name: string;
  /** [rows, columns] for a matrix, [length] for the factors of a norm, which stay f32. */
  readonly shape: readonly [number, number] | readonly [number];
}

/** The tensors of a model whose output matrix is its embedding. */
function llamaTensors({ layers, width, mlpWidth, heads, kvHeads, vocabSize }: LlamaShape): TensorSpec[] {
  const kvWidth = (width / heads) * kvHeads;
  const blocks = Array.from({ length: layers }, (_, layer): TensorSpec[] => [
    { name: `blk.${layer}.attn_norm.weight`, shape: [width] },
    { name: `blk.${layer}.attn_q.weight`, shape: [width, width] },
    { name: `blk.${layer}.attn_k.weight`, shape: [kvWidth, width] },
    { name: `blk.${layer}.attn_v.weight`, shape: [kvWidth, width] },
    { name: `blk.${layer}.attn_output.weight`, shape: [width, width] },
    { name: `blk.${layer}.ffn_norm.weight`, shape: [width] },
    { name: `blk.${layer}.ffn_gate.weight`, shape: [mlpWidth, width] },
    { name: `blk.${layer}.ffn_up.weight`, shape: [mlpWidth, width] },
    { name: `blk.${layer}.ffn_down.weight`, shape: [width, mlpWidth] },
  ]);
  return [
    { name: "token_embd.weight", shape: [vocabSize, width] },
    ...blocks.flat(),
    { name: "output_norm.weight", shape: [width] },
  ];
}

const elements = ({ shape }: TensorSpec): number => shape.reduce((product, side) => product * side, 1);

/** Writes the file and returns the bytes of its tensors. */
export function writeLlama(path: string, shape: LlamaShape, dtype: GgufDType): number {
  const tensors = llamaTensors(shape);
  const header = new Header();
  header.ascii("GGUF").u32(3).u64(tensors.length);
  writeMetadata(header, shape, dtype);
  let dataBytes = 0;
  for (const tensor of tensors) {
    const isMatrix = tensor.shape.length === 2;
    header.string(tensor.name).u32(tensor.shape.length);
    for (const side of tensor.shape.toReversed()) header.u64(side);
    header.u32(isMatrix ? formats[dtype].type : F32_TYPE).u64(dataBytes);
    dataBytes += aligned(tensorBytes(tensor, dtype));
  }
  header.padTo(ALIGNMENT_BYTES);

  const file = openSync(path, "w");
  try {
    writeSync(file, header.bytes());
    for (const tensor of tensors) writeTensor(file, tensor, dtype);
  } finally {
    closeSync(file);
  }
  return dataBytes;
}

function writeMetadata(header: Header, shape: LlamaShape, dtype: GgufDType): void {
  const integers = {
    "general.file_type": formats[dtype].fileType,
    "llama.context_length": shape.contextSize,
    "llama.embedding_length": shape.width,
    "llama.block_count": shape.layers,
    "llama.feed_forward_length": shape.mlpWidth,
    "llama.attention.head_count": shape.heads,
    "llama.attention.head_count_kv": shape.kvHeads,
    "llama.rope.dimension_count": shape.width / shape.heads,
    "llama.vocab_size": shape.vocabSize,
  };
  // "none": no tokenizer, only token ids.
  const strings = { "general.architecture": "llama", "tokenizer.ggml.model": "none" };
  const [U32, F32, STRING] = [4, 6, 8];
  header.u64(Object.keys(strings).length + Object.keys(integers).length + 1);
  for (const [key, value] of Object.entries(strings)) header.string(key).u32(STRING).string(value);
  for (const [key, value] of Object.entries(integers)) header.string(key).u32(U32).u32(value);
  header.string("llama.attention.layer_norm_rms_epsilon").u32(F32).f32(1e-6);
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

function tensorBytes(tensor: TensorSpec, dtype: GgufDType): number {
  if (tensor.shape.length === 1) return 4 * elements(tensor);
  return (elements(tensor) / BLOCK_WEIGHTS) * formats[dtype].blockBytes;
}

function writeTensor(file: number, tensor: TensorSpec, dtype: GgufDType): void {
  const bytes = new Uint8Array(aligned(tensorBytes(tensor, dtype)));
  if (tensor.shape.length === 1) {
    new Float32Array(bytes.buffer, 0, elements(tensor)).fill(1);
  } else {
    const { blockBytes, spread } = formats[dtype];
    const stretch = randomStretch(elements(tensor), 4096 * blockBytes);
    const scale = f32ToF16(0.7 / Math.sqrt(tensor.shape[1]) / spread); // activations stay of order 1
    const view = new DataView(stretch.buffer);
    for (let at = 0; at < stretch.length; at += blockBytes) view.setUint16(at, scale, true);
    fillWith(bytes.subarray(0, tensorBytes(tensor, dtype)), stretch);
  }
  writeSync(file, bytes);
}

/** Little-endian fields, one after the other. */
class Header {
  readonly #view = new DataView(new ArrayBuffer(2 ** 16));
  #length = 0;

  u32(value: number): this {
    this.#view.setUint32(this.#take(4), value, true);
    return this;
  }
  u64(value: number): this {
    this.#view.setBigUint64(this.#take(8), BigInt(value), true);
    return this;
  }
  f32(value: number): this {
    this.#view.setFloat32(this.#take(4), value, true);
    return this;
  }
  ascii(text: string): this {
    for (const character of text) this.#view.setUint8(this.#take(1), character.charCodeAt(0));
    return this;
  }
  /** A length and so many bytes. */
  string(text: string): this {
    return this.u64(text.length).ascii(text);
  }
  padTo(bytes: number): this {
    this.#length = Math.ceil(this.#length / bytes) * bytes;
    return this;
  }
  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  #take(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    return at;
  }
}
