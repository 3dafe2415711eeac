/** Conversations on Node's SQLite. */

import { nodeShell } from "./node-shell.ts";
import { turnsSuite } from "./turns.suite.ts";

turnsSuite(nodeShell);
