/** The conversation core's database in a Durable Object's storage. */

import type { Sql, SqlRow, SqlValue } from "../shared/conversation/sql.ts";

export function durableSql(storage: DurableObjectStorage): Sql {
  return {
    exec(query, ...values) {
      const rows = storage.sql.exec(query, ...values.map(toBinding)).toArray();
      return rows.map((row) => {
        const copy: SqlRow = {};
        for (const [name, value] of Object.entries(row))
          copy[name] = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
        return copy;
      });
    },
    transaction: (body) => storage.transactionSync(body),
  };
}

/** A view is bound as its own bytes, not as the whole buffer under it. */
function toBinding(value: SqlValue): SqlStorageValue {
  if (!(value instanceof Uint8Array)) return value;
  const { buffer, byteOffset, byteLength } = value;
  return buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength
    ? buffer
    : value.slice().buffer;
}
