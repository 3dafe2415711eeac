/** The README's curl commands do what it says: run as they are written there, but for host, key and id. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { serve } from "./served.ts";

const served = serve();
const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const examples = [...readme.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
  .map((match) => match[1] as string)
  .filter((block) => /^curl /m.test(block));

/** What an example printed: one JSON value, or a stream of events. */
function expectReply(output: string): void {
  if (output.startsWith("{")) {
    const { error } = JSON.parse(output) as { error?: unknown };
    expect(error ?? null, output).toBeNull();
    return;
  }
  expect(output, "neither JSON nor a stream").toMatch(/^(event|data): /m);
  expect(output).not.toContain('"code":');
  expect(output.trimEnd()).toMatch(/(data: \[DONE\]|"type":"response\.(completed|incomplete)".*)$/);
}

test("the README shows curl", () => {
  expect(examples.length).toBeGreaterThanOrEqual(3);
});

test("its commands, one after the other, all succeed", async () => {
  let last = ""; // "resp_…" is the id of the reply before
  for (const example of examples) {
    const command = example
      .replaceAll(/http:\/\/(127\.0\.0\.1|localhost):8787/g, served.runtime.url)
      .replaceAll("sk-…", served.key)
      .replaceAll("resp_…", last);
    expect(command, "every example calls the local server").toContain(served.runtime.url);
    const env = { PATH: process.env.PATH, AERIE_API_KEY: served.key };
    const { stdout } = await promisify(execFile)("sh", ["-euc", command], { env });
    expectReply(stdout);
    last = /"id":"(resp_[\w-]+)"/.exec(stdout)?.[1] ?? last;
  }
});
