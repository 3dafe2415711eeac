/** How fast this machine reads memory: the roof that decode is measured against. */

import { chooseKernels, FIRST_FREE_BYTE, instantiate, type KernelModules } from "../../shared/backend/wasm/kernels.ts";

// Six times the largest cache of common servers: what is read comes from memory.
const LOOP_BYTES = 192 * 2 ** 20;

export interface ReadLoop {
  readonly bytes: number;
  /** Reads all of them once, with vector loads, and does nothing else. */
  run(): void;
}

export function createReadLoop(modules: KernelModules): ReadLoop {
  const pages = (FIRST_FREE_BYTE + LOOP_BYTES) / 65_536 + 1;
  const memory = new WebAssembly.Memory({ initial: pages });
  // Pages that were never written all map to one page of zeros, which stays in cache.
  new Uint32Array(memory.buffer, FIRST_FREE_BYTE).fill(0x9e3779b9);
  const kernels = instantiate(chooseKernels(modules).module, memory);
  return {
    bytes: LOOP_BYTES,
    run: () => void kernels.readLoop(FIRST_FREE_BYTE, LOOP_BYTES, FIRST_FREE_BYTE + LOOP_BYTES),
  };
}
