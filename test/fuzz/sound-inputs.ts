/** Inputs that are right in every byte, to be changed. */

import { sha256Hasher } from "../../cli/bundle-folder.ts";
import { loadKernels } from "../../cli/kernels.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import type { Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { writeBundle } from "../../shared/checkpoint/bundle-writer.ts";
import { bytesSource } from "../../shared/checkpoint/byte-source.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { openSafetensors } from "../../shared/checkpoint/safetensors.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { smallHfConfig } from "../model/random-model.ts";
import { randomCheckpoint } from "../oracle/random-checkpoint.ts";
import { writeSafetensors } from "../oracle/safetensors.ts";

const hf = { ...smallHfConfig, hidden_size: 64, lru_width: 128, num_key_value_heads: 2 };

export async function smallBundle(): Promise<{ manifest: Manifest; stream: Uint8Array }> {
  const { tensors } = randomCheckpoint(hf, 5);
  const file = writeSafetensors([...tensors].map(([name, tensor]) => ({ name, dtype: "F32", ...tensor })));
  const written: Uint8Array[] = [];
  const manifest = await writeBundle(
    { config: parseHfConfig(hf), tensors: await openSafetensors(bytesSource("small.safetensors", file)) },
    {
      async create(name) {
        return {
          write: async (bytes) => (name.startsWith("weights-") ? written.push(bytes.slice()) : undefined),
          close: async () => undefined,
        };
      },
    },
    {
      dtypes: matrixDTypes("rg4"),
      ring: "f16",
      license: null,
      packer: wasmPacker(loadKernels(), 4096),
      createHasher: sha256Hasher,
      files: new Map([["tokenizer.json", new TextEncoder().encode("{}")]]),
    },
  );
  return { manifest, stream: new Uint8Array(Buffer.concat(written)) };
}
