/** How many workgroups a dispatch has. */

export type Grid = readonly [number, number, number];

const THREADS = 64; // of a workgroup, where a kernel has none of its own
const WIDTH = 32_768; // the most workgroups in a row, as in prelude.wgsl

/** x elements along the threads, y and z one by one. */
export const cover = (x: number, y = 1, z = 1): Grid => [Math.ceil(x / THREADS), y, z];

/** Workgroups in one long run, for kernels that call `workgroupIndex`. */
export const workgroups = (count: number): Grid => [Math.min(count, WIDTH), Math.ceil(count / WIDTH), 1];

/** A thread for each of many elements in one long run, for kernels that call `element`. */
export const coverElements = (count: number): Grid => workgroups(Math.ceil(count / THREADS));
