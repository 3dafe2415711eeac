/** Clients that stop reading or sending, over one place to compute: it comes back to those who were told to try again. */

import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { createApp } from "../../shared/api/app.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { PAUSE_SECONDS } from "../../shared/conversation/patience.ts";
import { sourceOf, statelessRunner } from "../conversation/fixture.ts";
import { FakeServices, MODEL } from "./fake-services.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));
let loaded: LoadedModel;
beforeAll(async () => {
  const model = await openModel(folder, { backend: "wasm", window: "deepmind" });
  loaded = { id: MODEL, digest: "d".repeat(64), model, ...(await openTextSide(folder)) };
});
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const chat = { messages: [{ role: "user", content: "Tell me a story." }], store: false };
const bodies = {
  "/v1/chat/completions": { ...chat, stream: true },
  "/v1/responses": { input: "Tell me a story.", store: false, stream: true },
  "/v1/completions": { prompt: "Once upon a time", max_tokens: 2000, stream: true },
};

// A stream that nobody read kept its place for ever: two hundred of them, and an isolate answered nobody any more.
test.each(Object.entries(bodies))("a stream of %s that is not read gives its place back", async (path, body) => {
  const services = new FakeServices();
  const stateless = statelessRunner(sourceOf(loaded, { places: 1 }));
  const app = createApp(Object.assign(services, { stateless, now: Date.now }));
  const post = (to: string, asked: object) => {
    const headers = { authorization: "Bearer sk-alice", "content-type": "application/json" };
    return app.request(to, { method: "POST", headers, body: JSON.stringify(asked) });
  };
  const other = () => post("/v1/chat/completions", { ...chat, max_tokens: 1 });
  const endless = Object.fromEntries(loaded.model.config.eosIds.map((id) => [id, -100]));

  const unread = await post(path, { ...body, logit_bias: endless });
  expect(unread.status).toBe(200);
  await vi.advanceTimersByTimeAsync(1000 * (PAUSE_SECONDS - 1));
  expect((await other()).status).toBe(429);
  await vi.advanceTimersByTimeAsync(2000);
  const answer = other();
  await vi.advanceTimersByTimeAsync(100);
  expect((await answer).status).toBe(200);

  // Whoever comes back to it can't take it for a whole one.
  const frames = (await unread.text()).trimEnd().split("\n\n");
  expect(frames.length).toBeGreaterThan(1);
  expect(frames.at(-1)).toMatch(
    /data: .*a client may pause for 60 seconds.*"client_too_slow"|"client_too_slow".*may pause/,
  );
  expect(frames.join()).not.toMatch(/"finish_reason":"|\[DONE\]|"response\.(completed|incomplete)"/);
  expect(services.reported).toStrictEqual([]);
});
