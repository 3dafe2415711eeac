/** How well does a model predict text that it has not seen? Nats per token and bits per byte, by source. */

import { allLogits, createState, type Model } from "../../shared/engine.ts";
import type { Tokenizer } from "../../shared/tokenizer/tokenizer.ts";

/** A document of training/held_out.py. What is said to the model is read but not counted: it learned its own turns. */
export interface HeldOutDocument {
  readonly source: string;
  readonly parts: readonly { readonly text: string; readonly counts: boolean }[];
}

export interface SourceLoss {
  readonly source: string;
  readonly documents: number;
  readonly tokens: number;
  readonly bytes: number;
  readonly nll: number; // nats per token
  readonly bitsPerByte: number;
}

export async function heldOutLoss(
  model: Model,
  tokenizer: Tokenizer,
  documents: readonly HeldOutDocument[],
): Promise<SourceLoss[]> {
  const losses: SourceLoss[] = [];
  for (const source of new Set(documents.map((document) => document.source))) {
    const ofSource = documents.filter((document) => document.source === source);
    let [nats, tokens, bytes] = [0, 0, 0];
    for (const { parts } of ofSource) {
      const ids = tokenizer.withBos([]);
      const counted: number[] = []; // places of the tokens that count
      for (const { text, counts } of parts) {
        const from = ids.length;
        ids.push(...tokenizer.encodeTemplate(text));
        if (!counts) continue;
        for (let place = from; place < ids.length; place++) counted.push(place);
        bytes += Buffer.byteLength(text);
      }
      const logits = await allLogits(model, createState(model), ids);
      for (const place of counted) nats += surprise(logits, (place - 1) * model.config.vocabSize, model, ids[place]);
      tokens += counted.length;
    }
    const bitsPerByte = nats / Math.LN2 / bytes;
    losses.push({ source, documents: ofSource.length, tokens, bytes, nll: nats / tokens, bitsPerByte });
  }
  return losses;
}

/** −log softmax(row)[id], in nats. */
function surprise(logits: Float32Array, at: number, { config }: Model, id: number): number {
  const row = logits.subarray(at, at + config.vocabSize);
  const largest = row.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  const sum = row.reduce((total, x) => total + Math.exp(x - largest), 0);
  return largest + Math.log(sum) - row[id];
}
