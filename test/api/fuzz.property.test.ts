/** Whatever JSON is sent, the server answers what it should or says what is wrong; it never fails. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { expectError, setUp } from "./client.ts";

const { call } = setUp();

/** Legal fields, one of them replaced by anything. */
const requests = fc.oneof(
  fc.tuple(fc.constant("/v1/chat/completions"), body("messages", [{ role: "user", content: "hi" }], chatFields())),
  fc.tuple(fc.constant("/v1/responses"), body("input", "hi", [...chatFields(), "conversation", "reasoning", "text"])),
  fc.tuple(fc.constant("/v1/completions"), body("prompt", "hi", ["suffix", "best_of", "n", "stop", "logprobs"])),
  fc.tuple(fc.constant("/v1/conversations"), body("items", [{ role: "user", content: "hi" }], ["metadata"])),
  fc.tuple(fc.constant("/v1/tokenize"), body("text", "hi", ["model"])),
  fc.tuple(fc.constant("/v1/detokenize"), body("tokens", [1], ["model"])),
);

function chatFields(): string[] {
  return ["temperature", "n", "stop", "seed", "logit_bias", "metadata", "tools", "store", "include", "model", "top_k"];
}

function body(main: string, legal: unknown, others: readonly string[]) {
  const change = fc.tuple(fc.constantFrom(main, ...others), fc.jsonValue({ maxDepth: 6 }));
  return fc.array(change, { maxLength: 3 }).map((changes) => ({ [main]: legal, ...Object.fromEntries(changes) }));
}

test("no legal or illegal value makes a request fail inside", async () => {
  await fc.assert(
    fc.asyncProperty(requests, async ([path, request]) => {
      const { status, text } = await call("POST", path, request);
      expect(status).toBeLessThan(500);
      if (status !== 200) expectError(text);
    }),
    { numRuns: 500 },
  );
});

test("nor does any text in a path or a query", async () => {
  const paths = fc.tuple(
    fc.constantFrom("/v1/responses/", "/v1/conversations/", "/v1/models/", "/v1/conversations?after=", "/v1/"),
    fc.string({ unit: "binary", maxLength: 80 }),
  );
  await fc.assert(
    fc.asyncProperty(paths, async ([path, rest]) => {
      const { status, text } = await call("GET", path + encodeURIComponent(rest.toWellFormed()));
      expect([200, 400, 404]).toContain(status);
      if (status !== 200) expectError(text);
    }),
    { numRuns: 300 },
  );
});
