#!/usr/bin/env node
// The entry of the `aerie` command. Plain JavaScript, so that a Node that can't run the rest says so in a sentence.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 13)) {
  process.stderr.write(
    `aerie needs Node 22.13 or newer, this is ${process.versions.node}. In a clone, run it as \`npm run -s aerie -- …\`: on Linux that uses the Node of package.json.\n`,
  );
  process.exit(1);
}

const main = fileURLToPath(new URL("./main.ts", import.meta.url));
if (process.features.typescript) {
  await import(main);
} else {
  // Before 22.18, Node runs TypeScript only when told to.
  const flags = ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"];
  const { status, signal } = spawnSync(process.execPath, [...flags, main, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  if (signal) process.kill(process.pid, signal);
  process.exit(status ?? 1);
}
