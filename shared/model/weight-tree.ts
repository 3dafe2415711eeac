/** The shape of a model's weights as a tree: the same for specs, loaded weights or anything else there is one of per tensor. */

export interface Linear<Leaf> {
  readonly weight: Leaf;
  readonly bias: Leaf;
}
export interface RecurrentWeights<Leaf> {
  readonly kind: "rg-lru";
  readonly linearY: Linear<Leaf>;
  readonly linearX: Linear<Leaf>;
  readonly conv: Linear<Leaf>;
  readonly inputGate: Linear<Leaf>;
  readonly recurrenceGate: Linear<Leaf>;
  readonly decay: Leaf;
  readonly linearOut: Linear<Leaf>;
}
export interface AttentionWeights<Leaf> {
  readonly kind: "local-attention";
  readonly query: Leaf; // no bias
  readonly key: Leaf; // no bias
  readonly value: Leaf; // no bias
  readonly out: Linear<Leaf>;
}
export interface MlpWeights<Leaf> {
  readonly gate: Linear<Leaf>;
  readonly up: Linear<Leaf>;
  readonly down: Linear<Leaf>;
}
export interface BlockWeights<Leaf> {
  readonly temporalNorm: Leaf;
  readonly temporal: RecurrentWeights<Leaf> | AttentionWeights<Leaf>;
  readonly channelNorm: Leaf;
  readonly mlp: MlpWeights<Leaf>;
}
export interface ModelWeights<Leaf> {
  readonly embedding: Leaf;
  readonly blocks: readonly BlockWeights<Leaf>[];
  readonly finalNorm: Leaf;
  /** null: the logits use the embedding. */
  readonly lmHead: Leaf | null;
}

/** The same tree with every leaf replaced. Leaves are visited in the order of computation. */
export function mapWeights<A, B>(weights: ModelWeights<A>, replace: (leaf: A) => B): ModelWeights<B> {
  const linear = ({ weight, bias }: Linear<A>): Linear<B> => ({ weight: replace(weight), bias: replace(bias) });
  const temporal = (from: RecurrentWeights<A> | AttentionWeights<A>): RecurrentWeights<B> | AttentionWeights<B> => {
    switch (from.kind) {
      case "rg-lru":
        return {
          kind: from.kind,
          linearY: linear(from.linearY),
          linearX: linear(from.linearX),
          conv: linear(from.conv),
          inputGate: linear(from.inputGate),
          recurrenceGate: linear(from.recurrenceGate),
          decay: replace(from.decay),
          linearOut: linear(from.linearOut),
        };
      case "local-attention":
        return {
          kind: from.kind,
          query: replace(from.query),
          key: replace(from.key),
          value: replace(from.value),
          out: linear(from.out),
        };
      default:
        return from satisfies never;
    }
  };
  return {
    embedding: replace(weights.embedding),
    blocks: weights.blocks.map((block) => ({
      temporalNorm: replace(block.temporalNorm),
      temporal: temporal(block.temporal),
      channelNorm: replace(block.channelNorm),
      mlp: { gate: linear(block.mlp.gate), up: linear(block.mlp.up), down: linear(block.mlp.down) },
    })),
    finalNorm: replace(weights.finalNorm),
    lmHead: weights.lmHead === null ? null : replace(weights.lmHead),
  };
}

/** All leaves in the order of computation. */
export function weightLeaves<Leaf>(weights: ModelWeights<Leaf>): Leaf[] {
  const leaves: Leaf[] = [];
  mapWeights(weights, (leaf) => leaves.push(leaf));
  return leaves;
}
