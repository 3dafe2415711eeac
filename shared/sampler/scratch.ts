/** The sampler's working memory: handed in by a caller who samples often, so that a token allocates next to nothing.
 *  Nothing in it outlives a call: every element is written before it is read. */

export class SampleScratch {
  readonly vocabSize: number;
  /** (V) f64: the logits with penalties and biases, later their distance to the largest over the temperature. */
  readonly logits: Float64Array;
  #ids: Uint32Array | undefined;
  #mass: Float64Array | undefined;
  #typicality: Float64Array | undefined;

  /** About 12 bytes per token of the vocabulary once tokens are drawn, plus 8 for the logits and 8 under `typicalP`. */
  constructor(vocabSize: number) {
    this.vocabSize = vocabSize;
    this.logits = new Float64Array(vocabSize);
  }

  /** (V) u32: the tokens still in play, packed to the front. */
  get ids(): Uint32Array {
    this.#ids ??= new Uint32Array(this.vocabSize);
    return this.#ids;
  }

  /** (V) f64: by token id, its probability as a whole number of units (`candidates.ts`). */
  get mass(): Float64Array {
    this.#mass ??= new Float64Array(this.vocabSize);
    return this.#mass;
  }

  /** (V) f64: by token id, minus the distance of its surprise from the entropy. */
  get typicality(): Float64Array {
    this.#typicality ??= new Float64Array(this.vocabSize);
    return this.#typicality;
  }
}
