/** More turns at once than an isolate has room for: each is answered as if it were alone, or told when to come back. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { burst, repliesAlone } from "./overload.ts";
import { Runtime } from "./runtime.ts";

const TURNS = 300; // of this model about 190 fit

let runtime: Runtime;
beforeAll(async () => {
  runtime = await Runtime.start({ requestsPerMinute: 100_000 }); // not the limit per key: what the isolate has room for
});
afterAll(() => runtime?.stop());

test("every reply is the one given alone, or 429 with Retry-After; then the server answers as before", {
  timeout: 180_000,
}, async () => {
  const keys = await Promise.all(["one", "two", "three"].map((tenant) => runtime.key(tenant)));
  const alone = await repliesAlone(runtime, keys[0]);
  expect(new Set(alone.values()).size).toBeGreaterThan(6); // else a mix-up could hide

  const outcomes = await burst(runtime, keys, alone, TURNS);
  const served = outcomes.filter(({ reply }) => reply !== null);
  expect(outcomes.length).toBe(TURNS);
  expect(served.length).toBeGreaterThan(20);
  expect(served.length, "nothing was refused: the burst did not fill the isolate").toBeLessThan(TURNS);

  // Whatever was refused left nothing behind that takes room.
  const after = await burst(runtime, keys, alone, 5);
  expect(after.filter(({ reply }) => reply === null)).toStrictEqual([]);
});
