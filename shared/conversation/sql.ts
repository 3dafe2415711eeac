/** The database under a conversation: SQLite, synchronous, owned by one object. What the shells have in common and no more. */

export type SqlValue = string | number | Uint8Array | null;

export type SqlRow = Record<string, SqlValue>;

export interface Sql {
  /** Runs one statement and returns its rows, all of them read. BLOBs are `Uint8Array`s. */
  exec(query: string, ...values: SqlValue[]): SqlRow[];
  /** Everything that `body` does, or nothing if it throws. Not to be nested; `body` must not be async. */
  transaction<Result>(body: () => Result): Result;
}

/** Numbers as a BLOB, f64 each: rows of equal shape have equal size, however large the numbers have become. */
export function packNumbers(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8 * numbers.length);
  const view = new DataView(bytes.buffer);
  for (const [at, number] of numbers.entries()) view.setFloat64(8 * at, number, true);
  return bytes;
}

export function unpackNumbers(value: SqlValue): number[] {
  const bytes = value as Uint8Array;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 8 }, (_, at) => view.getFloat64(8 * at, true));
}
