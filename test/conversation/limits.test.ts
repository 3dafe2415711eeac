/** Limits on Node's SQLite, and in a heap that is as small as an isolate's. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { limitsSuite } from "./limits.suite.ts";
import { nodeShell } from "./node-shell.ts";

limitsSuite(nodeShell);

// A megabyte of the letter that the names of control tokens begin with was out of memory where one of any other letter was not.
test.each([
  ["<", 40],
  ["word ", 48],
  ["é", 40],
  ["1 ", 80], // a word for every byte
])("the most text that one turn reads, all of it %j, is encoded in a heap of %i MB", (letters, heapMb) => {
  const script = fileURLToPath(new URL("./encode-most.ts", import.meta.url));
  const options = [`--max-old-space-size=${heapMb}`, "--no-warnings", script, letters];
  const { stdout, stderr } = spawnSync(process.execPath, options, { encoding: "utf8" });
  expect(stdout, stderr.slice(-500)).toMatch(/^\d+ ids\n$/);
});
