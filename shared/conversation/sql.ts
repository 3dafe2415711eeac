/** The database under a conversation: SQLite, synchronous, owned by one object. What the shells have in common and no more. */

export type SqlValue = string | number | Uint8Array | null;

export type SqlRow = Record<string, SqlValue>;

export interface Sql {
  /** Runs one statement and returns its rows, all of them read. BLOBs are `Uint8Array`s. */
  exec(query: string, ...values: SqlValue[]): SqlRow[];
  /** Everything that `body` does, or nothing if it throws. Not to be nested; `body` must not be async. */
  transaction<Result>(body: () => Result): Result;
}
