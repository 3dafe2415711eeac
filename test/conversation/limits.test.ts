/** Limits on Node's SQLite, which has none of its own near them. */

import { limitsSuite } from "./limits.suite.ts";
import { nodeShell } from "./node-shell.ts";

limitsSuite(nodeShell);
