/** Our kernels: the activations quantised, then matvec or GEMM, with the next weights of a ring at every call. */

import { TILE_ROWS } from "../../shared/backend/packed.ts";
import { FIRST_FREE_BYTE, instantiate, type Kernels } from "../../shared/backend/wasm/kernels.ts";
import { bytesInStreams, matricesOf, totalBytes } from "../../shared/backend/wasm/weight-streams.ts";
import { matrixMacs, type Product, type ProductShape, RING_BYTES } from "./product.ts";
import { fillWith, randomStretch } from "./random-bytes.ts";

const PAGE_BYTES = 65_536;
const WORK_BYTES = 32e6; // activations, results and scratch of the largest shape: 64 tokens, 7,680 wide

/** A kernel module whose memory is a ring of random weights, in two halves, with room to work behind it. */
export interface KernelRing {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
}

const RING_HALF = Math.ceil(RING_BYTES / 2 / PAGE_BYTES) * PAGE_BYTES;
const RING_END = FIRST_FREE_BYTE + 2 * RING_HALF;

export function kernelRing(module: WebAssembly.Module): KernelRing {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((RING_END + WORK_BYTES) / PAGE_BYTES) });
  fillWith(new Uint8Array(memory.buffer, FIRST_FREE_BYTE, RING_END - FIRST_FREE_BYTE), weightStretch());
  return { kernels: instantiate(module, memory), memory };
}

/** Random bytes of which every four also make an ordinary number: row scales lie among them, and subnormals would take longer. */
function weightStretch(): Uint8Array {
  return randomStretch(1).map((byte, at) => (at % 4 === 3 ? 0x30 | (byte & 0x8f) : byte));
}

export function aerieProduct(
  name: string,
  dtype: "rg4" | "rg8",
  { kernels, memory }: KernelRing,
  shape: ProductShape,
): Product {
  const { rows, columns, M } = shape;
  const isRg8 = dtype === "rg8";
  const WORDS = 1; // assembly/activations.ts
  const form = !isRg8 ? kernels.rg4Form() : M === 1 ? kernels.rg8MatvecForm() : WORDS;
  const S = M === 1 ? 1 : 4; // tokens that the activations interleave
  const tokens = Math.ceil(M / S) * S;
  const scratchOf = isRg8 ? kernels.rg8ScratchBytes : kernels.rg4ScratchBytes;
  // The next matrix in the two halves of the ring, as the backend places one in its two streams.
  const weight = { role: "matrix", shape: [rows, columns], dtype } as const;
  const bytes = bytesInStreams(weight);
  const [{ parts }] = matricesOf(weight, { first: FIRST_FREE_BYTE, second: FIRST_FREE_BYTE + RING_HALF });
  const [upper, lower] = parts;

  let top = RING_END;
  const allocate = (bytes: number): number => {
    const at = top;
    top += Math.ceil(bytes / 64) * 64;
    if (top > memory.buffer.byteLength) throw new RangeError(`${name}: ${WORK_BYTES} bytes are not enough to work in`);
    return at;
  };
  const x = allocate(4 * M * columns);
  const y = allocate(4 * M * Math.ceil(rows / TILE_ROWS) * TILE_ROWS);
  const q = allocate(tokens * columns * 2);
  const scales = allocate(4 * tokens * (columns / 32 + Math.ceil(columns / 256)));
  const scratch = allocate(scratchOf(columns));
  new Float32Array(memory.buffer, x, M * columns).set(
    Float32Array.from({ length: M * columns }, (_, i) => Math.sin(i)),
  );

  const matvec = isRg8 ? kernels.rg8Matvec : kernels.rg4Matvec;
  const gemm = isRg8 ? kernels.rg8Gemm : kernels.rg4Gemm;
  const { quantise } = kernels;
  let ahead = 0;
  return {
    name,
    macs: matrixMacs(shape),
    weightBytes: totalBytes(bytes),
    run(times) {
      for (let i = 0; i < times; i++) {
        quantise(x, 4 * columns, q, scales, M, columns, S, form, 0);
        if (M === 1) matvec(upper.at + ahead, lower.at + ahead, 0, q, scales, y, rows, columns);
        else
          for (const { at, rowScales, firstRow, rows: own } of parts)
            gemm(at + ahead, rowScales + ahead, 0, q, scales, y + 4 * firstRow, 4 * rows, own, columns, M, scratch);
        ahead += bytes.first;
        if (ahead + bytes.first > RING_HALF) ahead = 0;
      }
    },
  };
}

/** Nothing but reading the ring, 32 MB a run: the rate that a product with fresh weights can reach at best. */
export function readLoop({ kernels }: KernelRing): Product {
  const bytes = 32 * 2 ** 20;
  let at = FIRST_FREE_BYTE;
  return {
    name: "read loop",
    macs: 0,
    weightBytes: bytes,
    run(times) {
      for (let i = 0; i < times; i++) {
        kernels.readLoop(at, bytes, RING_END);
        at += bytes;
        if (at + bytes > RING_END) at = FIRST_FREE_BYTE;
      }
    },
  };
}
