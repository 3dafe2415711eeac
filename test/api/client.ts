/** The official client, talking to an app in this process. */

import OpenAI from "openai";
import { expect } from "vitest";
import { createApp } from "../../shared/api/app.ts";
import { errorBody } from "../../shared/protocol/errors.ts";
import { FakeServices } from "./fake-services.ts";

export function setUp() {
  const services = new FakeServices();
  const app = createApp(services);
  const clientOf = (apiKey: string) =>
    new OpenAI({
      apiKey,
      baseURL: "http://aerie.test/v1",
      maxRetries: 0,
      fetch: async (url, init) => app.request(String(url), init as RequestInit),
    });
  /** A request that the client would not make. */
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const response = await app.request(path, {
      method,
      headers: { authorization: "Bearer sk-alice", ...json, ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { response, status: response.status, text: await response.clone().text() };
  };
  return { services, app, openai: clientOf("sk-alice"), bob: clientOf("sk-bob"), clientOf, call };
}

/** The one shape, and nothing of the inside. */
export function expectError(text: string) {
  expect(errorBody.strict().parse(JSON.parse(text))).toBeDefined();
  expect(text).not.toMatch(/\bat .*\.ts|node_modules|Error:/);
}
