// What every kernel sees: prepended to each of them.
//
// All kernels share one set of bindings, so that one pipeline layout and one bind group per weight, per state and for the rest do
// for everything. A kernel uses the views that it needs; two views of one binding never meet in one kernel.

// Activations of a call; a tensor is an offset and a size.
@group(0) @binding(1) var<storage, read_write> arena: array<f32>;
// Token ids and angles of a call, from the host.
@group(0) @binding(2) var<storage, read> uploads: array<u32>;

// A weight: a matrix's tiles, or a plain f32 array; a matrix's row scales; the bias that is added.
@group(1) @binding(0) var<storage, read> tiles: array<vec4u>;
@group(1) @binding(0) var<storage, read> plain: array<f32>;
@group(1) @binding(1) var<storage, read> rowScales: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;

// One conversation's state (model/state-layout.ts).
@group(2) @binding(0) var<storage, read_write> state: array<u32>;

// Activations as int8 (activations.wgsl).
@group(3) @binding(0) var<storage, read_write> quantised: array<vec4u>;
@group(3) @binding(0) var<storage, read_write> quantisedWords: array<u32>;

// A dispatch has at most 65535 workgroups a side: long runs of elements are cut into rows of so many workgroups of 64.
const GRID_WIDTH = 32768u * 64u;

fn element(id: vec3u) -> u32 {
  return id.y * GRID_WIDTH + id.x;
}

// It may be beyond the last: all of a workgroup return together then, since barriers may come.
fn workgroupIndex(group: vec3u) -> u32 {
  return group.y * (GRID_WIDTH / 64u) + group.x;
}
