/** The conversation core's database in a Durable Object's storage. */

import { checkRow } from "../shared/conversation/row-size.ts";
import type { Sql, SqlRow, SqlValue } from "../shared/conversation/sql.ts";

/** What an owner pays by (rows), and what moves (bytes of texts and BLOBs). Counted by the runtime and here, since the start. */
export interface StorageCounters {
  rowsRead: number;
  rowsWritten: number;
  bytesRead: number;
  bytesWritten: number;
}

export const newCounters = (): StorageCounters => ({ rowsRead: 0, rowsWritten: 0, bytesRead: 0, bytesWritten: 0 });

export function durableSql(storage: DurableObjectStorage, counters: StorageCounters = newCounters()): Sql {
  return {
    exec(query, ...values) {
      checkRow(query, values); // the local runtime takes larger rows than a deployment does
      const cursor = storage.sql.exec(query, ...values.map(toBinding));
      const rows = cursor.toArray().map((row) => {
        const copy: SqlRow = {};
        for (const [name, value] of Object.entries(row)) {
          copy[name] = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
          counters.bytesRead += bytesOf(copy[name]);
        }
        return copy;
      });
      counters.rowsRead += cursor.rowsRead;
      counters.rowsWritten += cursor.rowsWritten;
      // Of a query that writes nothing, values are only what it looks for.
      if (cursor.rowsWritten > 0) for (const value of values) counters.bytesWritten += bytesOf(value);
      return rows;
    },
    transaction: (body) => storage.transactionSync(body),
  };
}

const bytesOf = (value: SqlValue): number =>
  value instanceof Uint8Array || typeof value === "string" ? value.length : 0;

/** A view is bound as its own bytes, not as the whole buffer under it. */
function toBinding(value: SqlValue): SqlStorageValue {
  if (!(value instanceof Uint8Array)) return value;
  const { buffer, byteOffset, byteLength } = value;
  return buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength
    ? buffer
    : value.slice().buffer;
}
