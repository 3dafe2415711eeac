/** `aerie convert`: packs a Hugging Face checkpoint into a bundle. */

import { Command } from "commander";
import type { WeightDType } from "../../shared/backend/packed.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { type Manifest, streamBytes } from "../../shared/checkpoint/bundle-manifest.ts";
import { writeBundle } from "../../shared/checkpoint/bundle-writer.ts";
import { readExactly } from "../../shared/checkpoint/byte-source.ts";
import { openHfCheckpoint } from "../../shared/checkpoint/hf-checkpoint.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import type { RingDType } from "../../shared/model/state-layout.ts";
import { atomicFolder, sha256Hasher } from "../bundle-folder.ts";
import { loadKernels } from "../kernels.ts";
import { embeddingOption, ringOption, weightsOption, windowOption, withFolder } from "../model-argument.ts";
import type { NodeFolder } from "../node-folder.ts";
import { formatBytes, progress } from "../progress.ts";

export interface PackOptions {
  readonly out: string;
  readonly weights: WeightDType;
  readonly embedding?: WeightDType;
  readonly ring: RingDType;
  readonly window: "deepmind" | "hf";
  readonly license?: string;
}

interface ConvertOptions extends PackOptions {
  readonly json?: boolean;
}

export const convertCommand = new Command("convert")
  .description("Pack a Hugging Face checkpoint into a bundle: quantised, sharded, ready to load.")
  .argument("<hf-dir>", "folder in Hugging Face's RecurrentGemma format, or one .safetensors file of such a folder")
  .requiredOption("--out <dir>", "the bundle's folder; it must not exist yet")
  .addOption(weightsOption().default("rg4"))
  .addOption(embeddingOption())
  .addOption(ringOption().default("f16"))
  .addOption(windowOption())
  .option("--license <name>", "licence to record in the manifest (default: that of the model card)")
  .option("--json", "print one JSON object: bytes, shards, digest, seconds, peak memory")
  .action(convert);

// What belongs to a model besides its weights, and goes along unchanged.
const companions = [
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "README.md",
  "MODEL_CARD.md",
  "LICENSE",
  "NOTICE",
];

async function convert(path: string, options: ConvertOptions): Promise<void> {
  const startMs = performance.now();
  const manifest = await packModel(path, options);
  const bytes = streamBytes(manifest.tensors);
  const seconds = (performance.now() - startMs) / 1000;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  const { shards, digest } = manifest;
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ out: options.out, bytes, shards: shards.length, digest, seconds, peakMemoryBytes })}\n`
      : `${options.out}: ${formatBytes(bytes)} in ${shards.length} shard${shards.length === 1 ? "" : "s"}, ${seconds.toFixed(1)} s, ${formatBytes(peakMemoryBytes)} of memory at most\ndigest ${digest}\n`,
  );
}

/** Packs the checkpoint at `path` into the folder `options.out`, which must not exist yet. */
export async function packModel(path: string, options: PackOptions): Promise<Manifest> {
  const bar = progress("packing", formatBytes);
  try {
    return await withFolder(path, async (folder, weightsFile) => {
      const checkpoint = await openHfCheckpoint(folder, {
        window: options.window,
        ...(weightsFile && { weightsFile }),
      });
      const { width, mlpWidth, lruWidth, heads, headDim } = checkpoint.config;
      const files = await readCompanions(folder);
      return atomicFolder(options.out, (sink) =>
        writeBundle(checkpoint, sink, {
          dtypes: matrixDTypes(options.weights, options.embedding),
          ring: options.ring,
          license: options.license ?? cardLicense(files.get("README.md") ?? files.get("MODEL_CARD.md")),
          packer: wasmPacker(loadKernels(), Math.max(width, mlpWidth, lruWidth, heads * headDim)),
          createHasher: sha256Hasher,
          files,
          onProgress: bar.update,
        }),
      );
    });
  } finally {
    bar.stop();
  }
}

async function readCompanions(folder: NodeFolder): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of companions) {
    const source = await folder.open(name);
    if (source) files.set(name, await readExactly(source, 0, source.size));
  }
  return files;
}

/** `license:` of a model card's front matter. */
function cardLicense(card: Uint8Array | undefined): string | null {
  const frontMatter = card && /^---\n([\s\S]*?)\n---/.exec(new TextDecoder().decode(card))?.[1];
  return frontMatter?.match(/^license:\s*(\S+)\s*$/m)?.[1] ?? null;
}
