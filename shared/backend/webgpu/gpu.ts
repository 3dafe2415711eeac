/**
 * The part of the WebGPU API that this backend uses, as plain interfaces: a browser's objects and those of Node's `webgpu`
 * package both fit, and `shared/` needs no global types of either. Source: the W3C's WebGPU specification, same names.
 */

export interface Gpu {
  requestAdapter(options?: { powerPreference?: "high-performance" }): Promise<GpuAdapter | null>;
  readonly wgslLanguageFeatures?: ReadonlySetLike; // missing in older browsers
}

export interface ReadonlySetLike {
  has(name: string): boolean;
}

export interface GpuAdapter {
  readonly info: GpuAdapterInfo;
  readonly features: ReadonlySetLike;
  readonly limits: GpuLimits;
  requestDevice(descriptor: { requiredFeatures: string[]; requiredLimits: Record<string, number> }): Promise<GpuDevice>;
}

export interface GpuAdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isFallbackAdapter?: boolean;
}

export interface GpuLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly minUniformBufferOffsetAlignment: number;
}

export interface GpuDevice {
  readonly limits: GpuLimits;
  readonly queue: GpuQueue;
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  destroy(): void;
  createBuffer(descriptor: { size: number; usage: number }): GpuBuffer;
  createShaderModule(descriptor: { label?: string; code: string }): object;
  createBindGroupLayout(descriptor: { entries: readonly BindGroupLayoutEntry[] }): object;
  createPipelineLayout(descriptor: { bindGroupLayouts: readonly object[] }): object;
  createComputePipeline(descriptor: ComputePipelineDescriptor): object;
  createComputePipelineAsync(descriptor: ComputePipelineDescriptor): Promise<object>;
  createBindGroup(descriptor: {
    layout: object;
    entries: readonly { binding: number; resource: { buffer: GpuBuffer; size?: number } }[];
  }): object;
  createCommandEncoder(): GpuCommandEncoder;
  pushErrorScope(filter: "validation" | "out-of-memory" | "internal"): void;
  popErrorScope(): Promise<{ readonly message: string } | null>;
}

export interface BindGroupLayoutEntry {
  readonly binding: number;
  readonly visibility: number;
  readonly buffer: { readonly type: "uniform" | "storage" | "read-only-storage"; readonly hasDynamicOffset?: boolean };
}

export interface ComputePipelineDescriptor {
  readonly label?: string;
  readonly layout: object;
  readonly compute: { readonly module: object; readonly entryPoint: string };
}

export interface GpuQueue {
  submit(commands: readonly object[]): void;
  onSubmittedWorkDone(): Promise<undefined>;
  writeBuffer(buffer: GpuBuffer, offset: number, data: ArrayBufferView, dataOffset?: number, size?: number): void;
}

export interface GpuBuffer {
  readonly size: number;
  mapAsync(mode: number, offset?: number, size?: number): Promise<undefined>;
  getMappedRange(offset?: number, size?: number): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

export interface GpuCommandEncoder {
  beginComputePass(): GpuComputePass;
  copyBufferToBuffer(from: GpuBuffer, fromOffset: number, to: GpuBuffer, toOffset: number, size: number): void;
  finish(): object;
}

export interface GpuComputePass {
  setPipeline(pipeline: object): void;
  setBindGroup(index: number, group: object): void;
  setBindGroup(index: number, group: object, offsets: Uint32Array, start: number, length: number): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
  end(): void;
}

// The specification's flags.
export const usage = { mapRead: 0x1, copySource: 0x4, copyTarget: 0x8, uniform: 0x40, storage: 0x80 } as const;
export const MAP_READ = 0x1;
export const VISIBLE_TO_COMPUTE = 0x4;
