/** A deployment that was configured wrongly says so in every reply, in the shape that clients understand. */

import { expect, test } from "vitest";
import { Runtime } from "./runtime.ts";

test.each([
  ["nonsense", "AERIE_MODELS: it is not JSON"],
  ['[{"id":"a","source":"ftp","path":"a"}]', "AERIE_MODELS: [0.source]"],
])("AERIE_MODELS = %s", async (models, sentence) => {
  const runtime = await Runtime.start({ vars: { AERIE_MODELS: models }, onLog: () => undefined });
  try {
    for (const path of ["/health", "/v1/models"]) {
      const reply = await fetch(`${runtime.url}${path}`);
      expect(reply.status).toBe(503);
      const { error } = (await reply.json()) as { error: { message: string } };
      expect(error).toMatchObject({ type: "server_error", code: "not_configured", param: null });
      expect(error.message).toContain(sentence);
    }
  } finally {
    await runtime.stop();
  }
});
