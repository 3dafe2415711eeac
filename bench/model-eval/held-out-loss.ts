/** How well does a model predict text that it has not seen? Nats per token and bits per byte, by source. */

import { type Comparison, compareLogits } from "../../cli/eval/compare-logits.ts";
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
  /** Against the exact model, at the same places: mean KL divergence in nats, and the share with the same most likely token. */
  readonly kl: number;
  readonly agreement: number;
}

export async function heldOutLoss(
  model: Model,
  exact: Model,
  tokenizer: Tokenizer,
  documents: readonly HeldOutDocument[],
): Promise<SourceLoss[]> {
  const losses: SourceLoss[] = [];
  for (const source of new Set(documents.map((document) => document.source))) {
    const ofSource = documents.filter((document) => document.source === source);
    const sum: Comparison = { tokens: 0, kl: 0, agreements: 0, nll: 0, rightNll: 0 };
    let bytes = 0;
    for (const { parts } of ofSource) {
      const ids = tokenizer.withBos([]);
      const places: number[] = []; // that are followed by a token that counts
      for (const { text, counts } of parts) {
        const from = ids.length;
        ids.push(...tokenizer.encodeTemplate(text));
        if (!counts) continue;
        for (let place = from; place < ids.length; place++) places.push(place - 1);
        bytes += Buffer.byteLength(text);
      }
      const logits = await allLogits(model, createState(model), ids);
      const right = model === exact ? logits : await allLogits(exact, createState(exact), ids);
      compareLogits(logits, right, ids, model.config.vocabSize, sum, places);
    }
    losses.push({
      source,
      documents: ofSource.length,
      tokens: sum.tokens,
      bytes,
      nll: sum.nll / sum.tokens,
      bitsPerByte: sum.nll / Math.LN2 / bytes,
      kl: sum.kl / sum.tokens,
      agreement: sum.agreements / sum.tokens,
    });
  }
  return losses;
}
