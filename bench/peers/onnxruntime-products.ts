/**
 * onnxruntime-web's three ways to multiply, on its wasm execution provider with one thread. One run is a graph of several products of
 * the same x, each with weights of its own, whose sum is the output: so the cost of a call is shared by all of them.
 */

import { encodeModel, type GraphNode, MICROSOFT, type TensorData } from "./onnx.ts";
import { matrixMacs, type Product, type ProductShape, RING_BYTES } from "./product.ts";
import { fillWith, randomStretch } from "./random-bytes.ts";

export type OrtFormat = "int4" | "int8" | "f32";

export interface OrtProduct extends Product {
  release(): Promise<void>;
}

export type Ort = typeof import("onnxruntime-web");

export async function loadOnnxRuntime(): Promise<Ort> {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return ort;
}

export async function ortProduct(ort: Ort, format: OrtFormat, shape: ProductShape): Promise<OrtProduct> {
  const { rows, columns, M } = shape;
  const weightBytes = matrixBytes(format, shape);
  const count = productCount(format, shape, weightBytes);
  const model = encodeModel({
    ...productGraph(format, shape, count),
    input: ["x", [M, columns]],
    output: ["y", [M, rows]],
  });
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const x = new ort.Tensor(
    "float32",
    Float32Array.from({ length: M * columns }, (_, i) => Math.sin(i)),
    [M, columns],
  );
  return {
    name: `ORT ${format}`,
    macs: count * matrixMacs(shape),
    weightBytes: count * weightBytes,
    async run(times) {
      for (let i = 0; i < times; i++) await session.run({ x });
    },
    release: () => session.release(),
  };
}

const INT4_BLOCK = 32; // weights that share a scale, an f32

function matrixBytes(format: OrtFormat, { rows, columns }: ProductShape): number {
  const weights = rows * columns;
  if (format === "int4") return weights / 2 + (weights / INT4_BLOCK) * 4;
  return format === "int8" ? weights : 4 * weights;
}

/** Enough to be streamed from DRAM for one token; for many, about a twentieth of a second. */
function productCount(format: OrtFormat, shape: ProductShape, weightBytes: number): number {
  if (shape.M > 1) return Math.min(16, Math.max(2, Math.ceil(6e8 / matrixMacs(shape))));
  // MatMulNBits runs at a hundredth of the memory's speed; a whole ring would make its samples so long that none stays undisturbed.
  return Math.ceil((format === "int4" ? RING_BYTES / 3 : RING_BYTES) / weightBytes);
}

interface Products {
  readonly nodes: GraphNode[];
  readonly weights: Record<string, TensorData>;
}

function productGraph(format: OrtFormat, shape: ProductShape, count: number): Products {
  const products: Products = { nodes: [], weights: {} };
  if (format === "int8")
    // Once for all products of x, which is less than ours do: we count it for every product.
    products.nodes.push({ op: "DynamicQuantizeLinear", inputs: ["x"], outputs: ["xq", "xScale", "xZero"] });
  for (let i = 0; i < count; i++) addProduct[format](products, shape, i);
  const sums = Array.from({ length: count }, (_, i) => `y${i}`);
  products.nodes.push({ op: "Sum", inputs: sums, outputs: ["y"] });
  return products;
}

const addProduct: Record<OrtFormat, (to: Products, shape: ProductShape, i: number) => void> = {
  int4({ nodes, weights }, { rows, columns }, i) {
    const blocks = columns / INT4_BLOCK;
    weights[`w${i}`] = {
      type: "uint8",
      dims: [rows, blocks, INT4_BLOCK / 2],
      bytes: randomBytes((rows * columns) / 2, i),
    };
    weights[`s${i}`] = floats([rows * blocks], 0.01);
    nodes.push({
      op: "MatMulNBits",
      domain: MICROSOFT,
      inputs: ["x", `w${i}`, `s${i}`],
      outputs: [`y${i}`],
      attributes: { K: columns, N: rows, bits: 4, block_size: INT4_BLOCK, accuracy_level: 4 }, // 4: int8 activations
    });
  },
  int8({ nodes, weights }, { rows, columns }, i) {
    weights[`w${i}`] = { type: "int8", dims: [columns, rows], bytes: randomBytes(rows * columns, i) };
    weights[`z${i}`] = { type: "int8", dims: [], bytes: new Uint8Array(1) };
    weights[`s${i}`] = floats([], 0.01);
    nodes.push(
      { op: "MatMulInteger", inputs: ["xq", `w${i}`, "xZero", `z${i}`], outputs: [`i${i}`] },
      { op: "Cast", inputs: [`i${i}`], outputs: [`f${i}`], attributes: { to: 1 } }, // 1: float32
      { op: "Mul", inputs: ["xScale", `s${i}`], outputs: [`t${i}`] },
      { op: "Mul", inputs: [`f${i}`, `t${i}`], outputs: [`y${i}`] },
    );
  },
  f32({ nodes, weights }, { rows, columns }, i) {
    weights[`w${i}`] = { type: "float32", dims: [columns, rows], bytes: randomFloats(rows * columns, i) };
    nodes.push({ op: "MatMul", inputs: ["x", `w${i}`], outputs: [`y${i}`] });
  },
};

const bytesOf = ({ buffer, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, 0, byteLength);

const floats = (dims: readonly number[], value: number): TensorData => ({
  type: "float32",
  dims,
  bytes: bytesOf(new Float32Array(dims.reduce((product, side) => product * side, 1)).fill(value)),
});

function randomBytes(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  fillWith(bytes, randomStretch(seed + 1, 2 ** 16));
  return bytes;
}

function randomFloats(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(4 * length);
  fillWith(bytes, bytesOf(Float32Array.from(randomStretch(seed + 1, 2 ** 16), (byte) => (byte - 127.5) / 2000)));
  return bytes;
}
