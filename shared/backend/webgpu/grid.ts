/** How many workgroups cover a number of elements; every kernel has 64 threads in one. */

const WORKGROUP = 64;
const GRID_WIDTH = 32_768; // the number in prelude.wgsl

/** x elements along the threads, y and z one by one. */
export const cover = (x: number, y = 1, z = 1): readonly [number, number, number] => [Math.ceil(x / WORKGROUP), y, z];

/** Elements in one long run, for kernels that call `element`. */
export function coverElements(count: number): readonly [number, number, number] {
  const workgroups = Math.ceil(count / WORKGROUP);
  return [Math.min(workgroups, GRID_WIDTH), Math.ceil(workgroups / GRID_WIDTH), 1];
}
