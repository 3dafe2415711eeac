/** Encodes a graph as an ONNX model: the few messages that matrix products need, with the field numbers of onnx.proto. */

export interface TensorData {
  readonly type: "float32" | "uint8" | "int8";
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

export interface GraphNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, number>>;
  readonly domain?: string;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly weights: Readonly<Record<string, TensorData>>;
  /** Name and sides of the one input and the one output, both float32. */
  readonly input: readonly [name: string, dims: readonly number[]];
  readonly output: readonly [name: string, dims: readonly number[]];
}

/** The operators beside ONNX's own: MatMulNBits lives there. */
export const MICROSOFT = "com.microsoft";

const elementTypes = { float32: 1, uint8: 2, int8: 3 } as const;
const INTEGER_ATTRIBUTE = 2;

/** The bytes of a model that computes the graph. */
export function encodeModel({ nodes, weights, input, output }: Graph): Uint8Array {
  const graph = [
    ...nodes.map((node) => message(1, encodeNode(node))),
    text(2, "products"),
    ...Object.entries(weights).map(([name, data]) => message(5, encodeTensor(name, data))),
    message(11, encodeValue(input)),
    message(12, encodeValue(output)),
  ];
  const irVersion = integer(1, 8);
  return joined([irVersion, message(7, graph), message(8, opset("", 17)), message(8, opset(MICROSOFT, 1))]);
}

function encodeNode({ op, inputs, outputs, attributes = {}, domain = "" }: GraphNode): Uint8Array[] {
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) =>
      message(5, [text(1, name), integer(3, value), integer(20, INTEGER_ATTRIBUTE)]),
    ),
    text(7, domain),
  ];
}

function encodeTensor(name: string, { type, dims, bytes }: TensorData): Uint8Array[] {
  return [...dims.map((side) => integer(1, side)), integer(2, elementTypes[type]), text(8, name), field(9, bytes)];
}

function encodeValue([name, dims]: readonly [string, readonly number[]]): Uint8Array[] {
  const shape = dims.map((side) => message(1, [integer(1, side)]));
  const tensorType = [integer(1, elementTypes.float32), message(2, shape)];
  return [text(1, name), message(2, [message(1, tensorType)])];
}

const opset = (domain: string, version: number): Uint8Array[] => [text(1, domain), integer(2, version)];

// Protobuf's wire format: a field is its number and kind as a varint, then a varint, or a length and so many bytes.
const VARINT = 0;
const BYTES = 2;

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Uint8Array.from([...bytes, rest]);
}

const integer = (number: number, value: number): Uint8Array => joined([varint(number * 8 + VARINT), varint(value)]);

const field = (number: number, bytes: Uint8Array): Uint8Array =>
  joined([varint(number * 8 + BYTES), varint(bytes.length), bytes]);

const message = (number: number, fields: readonly Uint8Array[]): Uint8Array => field(number, joined(fields));

const text = (number: number, value: string): Uint8Array => field(number, new TextEncoder().encode(value));

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
