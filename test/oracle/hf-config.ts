/** What does a RecurrentGemma config.json say?  The fields that decide shapes and arithmetic, and the sizes they mean. */

/** A parsed Hugging Face config.json. */
export interface HfConfig {
  vocab_size: number;
  hidden_size: number;
  /** TWICE the width of one MLP branch. */
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  /** Absent: one key head per query head. */
  num_key_value_heads?: number | null;
  /** Absent: hidden_size / num_attention_heads. */
  head_dim?: number | null;
  /** Absent: hidden_size. */
  lru_width?: number | null;
  attention_window_size: number;
  conv1d_width: number;
  /** 0: no cap. */
  logits_soft_cap: number;
  rms_norm_eps: number;
  /** "gelu_pytorch_tanh" or "silu", in the MLP and in the y branch of the recurrent block. */
  hidden_activation: string;
  partial_rotary_factor: number;
  rope_theta: number;
  /** "recurrent" or "attention", repeated and cut to num_hidden_layers. */
  block_types: string[];
  /** Absent: true. */
  embeddings_scale_by_sqrt_dim?: boolean;
  /** Absent: true. */
  tie_word_embeddings?: boolean;
  [other: string]: unknown;
}

export interface Sizes {
  /** Vocabulary. */
  V: number;
  /** Width of the residual stream. */
  D: number;
  /** Width of the RG-LRU. */
  E: number;
  /** Diagonal blocks of an RG-LRU gate; each is B × B, G · B = E. */
  G: number;
  B: number;
  /** Taps of the conv. */
  K: number;
  /** Width of one MLP branch. */
  F: number;
  /** Query heads, key heads, width of a head. */
  H: number;
  KV: number;
  d: number;
}

export function sizesOf(config: HfConfig, gateBlocks: number = config.num_attention_heads): Sizes {
  const { vocab_size: V, hidden_size: D, conv1d_width: K, num_attention_heads: H } = config;
  const E = config.lru_width ?? D;
  const F = config.intermediate_size / 2;
  const KV = config.num_key_value_heads ?? H;
  const sizes = { V, D, E, G: gateBlocks, B: E / gateBlocks, K, F, H, KV, d: config.head_dim ?? D / H };
  for (const [name, size] of Object.entries({ ...sizes, "H / KV": H / KV })) {
    if (!(Number.isInteger(size) && size > 0)) throw new Error(`config: ${name} is ${size}, not a positive integer`);
  }
  return sizes;
}

export function blockTypeOf(config: HfConfig, layer: number): "recurrent" | "attention" {
  const type = config.block_types[layer % config.block_types.length];
  if (type !== "recurrent" && type !== "attention") throw new Error(`config: layer ${layer} has block type ${type}`);
  return type;
}
