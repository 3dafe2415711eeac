/** Tenants on Node's SQLite, in memory, with a clock that a test turns. */

import { DatabaseSync } from "node:sqlite";
import { nodeSql } from "../../cli/node-sql.ts";
import { TenantStore } from "../../shared/conversation/tenant-store.ts";

export const testSecret = "0123456789abcdef".repeat(4);

export interface NodeTenants {
  readonly clock: { now: number }; // milliseconds since 1970
  tenant(name: string): TenantStore;
  /** Names of the tenants whose object was reached, once per time. */
  readonly reached: string[];
}

export function nodeTenants(): NodeTenants {
  const clock = { now: 1_800_000_000_000 };
  const stores = new Map<string, TenantStore>();
  const reached: string[] = [];
  return {
    clock,
    reached,
    tenant(name) {
      reached.push(name);
      const store =
        stores.get(name) ??
        new TenantStore(nodeSql(new DatabaseSync(":memory:")), { now: () => clock.now, wakeAt: () => {} });
      stores.set(name, store);
      return store;
    },
  };
}
