/** One way to compute y [M, rows] = x [M, columns] · Wᵀ, as the matrix bench times it. */

export interface ProductShape {
  readonly rows: number;
  readonly columns: number;
  /** Tokens that share the weights: 1 while decoding, many while prefilling. */
  readonly M: number;
}

export interface Product {
  readonly name: string;
  /** Multiply-adds of one run, which may be several products. */
  readonly macs: number;
  /** Bytes of weights, scales included, that one run reads. */
  readonly weightBytes: number;
  run(times: number): void | Promise<void>;
}

/**
 * Weights that are different at every call are spread over so many bytes at least, so that they come from DRAM: a multiple of the
 * last-level caches that one core gets.
 */
export const RING_BYTES = 192e6;

export const matrixMacs = ({ rows, columns, M }: ProductShape): number => rows * columns * M;
