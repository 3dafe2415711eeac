/** The tenant's store on Node's SQLite. */

import { nodeShell } from "./node-shell.ts";
import { tenantStoreSuite } from "./tenant-store.suite.ts";

tenantStoreSuite(nodeShell.withSql);
