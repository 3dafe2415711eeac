/** What the benches use of their peers, so that types are checked where the peers are not installed. */

declare module "onnxruntime-web" {
  export const env: {
    readonly versions: { readonly web?: string };
    readonly wasm: { numThreads?: number };
    logLevel?: "error";
  };

  export class Tensor {
    constructor(type: "float32", data: Float32Array, dims: readonly number[]);
    readonly data: Float32Array;
  }

  export class InferenceSession {
    static create(
      model: Uint8Array,
      options: { readonly executionProviders: readonly ["wasm"] },
    ): Promise<InferenceSession>;
    run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
    release(): Promise<void>;
  }
}

declare module "@node-llama-cpp/linux-x64" {
  /** The folder that holds `linux-x64/llama-addon.node` and llama.cpp's libraries. */
  export function getBinsDir(): { readonly binsDir: string; readonly packageVersion: string };
}
