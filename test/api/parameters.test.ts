/** Every parameter that the official client can send is accepted or refused by name: none is ignored, none forgotten. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { chatRequest } from "../../shared/protocol/chat.ts";
import { completionRequest } from "../../shared/protocol/completions.ts";
import { responseRequest } from "../../shared/protocol/responses.ts";
import { setUp } from "./client.ts";

const resources = new URL("../../node_modules/openai/resources/", import.meta.url);

/** The fields of an interface in the client's type declarations. */
function fieldsOf(file: string, name: string): string[] {
  const text = readFileSync(new URL(file, resources), "utf8").replaceAll(/\/\*\*[\s\S]*?\*\//g, "");
  const body = new RegExp(`export interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(text)![1];
  return [...body.matchAll(/^ {4}(\w+)\??: /gm)].map(([, field]) => field);
}

interface Route {
  readonly path: string;
  readonly fields: readonly string[];
  readonly known: object;
  readonly body: object;
  readonly unsupported: Readonly<Record<string, unknown>>;
  readonly neutral: Readonly<Record<string, readonly unknown[]>>;
}

const tool = { type: "function", function: { name: "f" } };
const text = "text";
const harmless = {
  user: ["ada"],
  safety_identifier: ["x"],
  prompt_cache_key: ["x"],
  prompt_cache_retention: ["24h"],
  service_tier: ["auto", "default"],
  parallel_tool_calls: [true, false],
};

const routes: Route[] = [
  {
    path: "/v1/chat/completions",
    fields: fieldsOf("chat/completions/completions.d.ts", "ChatCompletionCreateParamsBase"),
    known: chatRequest.shape,
    body: { messages: [{ role: "user", content: "hi" }] },
    unsupported: {
      tools: [tool],
      tool_choice: "required",
      functions: [{ name: "f" }],
      function_call: { name: "f" },
      response_format: { type: "json_object" },
      modalities: ["text", "audio"],
      audio: { voice: "alloy" },
      reasoning_effort: "high",
      verbosity: "low",
      moderation: {},
      prediction: { type: "content", content: "x" },
      prompt_cache_options: { ttl: "30m" },
      web_search_options: {},
      service_tier: "priority",
    },
    neutral: {
      ...harmless,
      tools: [[]],
      tool_choice: ["none", "auto"],
      functions: [[]],
      function_call: ["none"],
      response_format: [{ type: text }],
      modalities: [[text]],
      reasoning_effort: ["none"],
      verbosity: ["medium"],
      store: [true, false],
      metadata: [{ a: "b" }],
      stop: [["a", "b", "c", "d"], "x"],
      logprobs: [true],
    },
  },
  {
    path: "/v1/responses",
    fields: fieldsOf("responses/responses.d.ts", "ResponseCreateParamsBase"),
    known: responseRequest.shape,
    body: { input: "hi" },
    unsupported: {
      tools: [{ type: "web_search" }],
      tool_choice: "required",
      max_tool_calls: 3,
      access_programs: {},
      context_management: [{ type: "compaction" }],
      image: {},
      moderation: {},
      prompt: { id: "x" },
      prompt_cache_options: {},
      reasoning: { effort: "high" },
      text: { format: { type: "json_schema" } },
      include: ["file_search_call.results"],
      truncation: "sometimes",
    },
    neutral: {
      ...harmless,
      tools: [[]],
      tool_choice: ["none", "auto"],
      context_management: [[]],
      reasoning: [{}, { effort: null, summary: null }, { effort: "none" }],
      text: [{}, { format: { type: text } }, { format: { type: text }, verbosity: "medium" }],
      include: [[], ["message.output_text.logprobs"], ["reasoning.encrypted_content"]],
      truncation: ["auto", "disabled"],
      top_logprobs: [3],
      background: [true, false],
      seed: [7],
      stop: ["x"],
    },
  },
  {
    path: "/v1/completions",
    fields: fieldsOf("completions.d.ts", "CompletionCreateParamsBase"),
    known: completionRequest.shape,
    body: { prompt: "hi" },
    unsupported: { best_of: 2, echo: true, suffix: "x", store: true },
    neutral: { best_of: [1], echo: [false], suffix: [""], user: ["ada"], logprobs: [0, 5] },
  },
];

describe.each(routes)("$path", ({ path, fields, known, body, unsupported, neutral }) => {
  const { call } = setUp();
  const send = async (change: object) => {
    const { status, text } = await call("POST", path, { ...body, ...change });
    return { status, error: JSON.parse(text).error };
  };

  test("knows every field of the client's", () => {
    expect(fields.length).toBeGreaterThan(15);
    expect(fields.filter((field) => !Object.hasOwn(known, field))).toStrictEqual([]);
  });

  test.each(Object.entries(unsupported))("%s: %j is refused by name", async (param, value) => {
    const { status, error } = await send({ [param]: value });
    expect(status).toBe(400);
    expect(error.param).toMatch(new RegExp(`^${param}\\b`));
    expect(error.message).toContain(param);
    expect(error.type).toBe("invalid_request_error");
  });

  test.each(Object.entries(neutral).flatMap(([param, values]) => values.map((value) => [param, value] as const)))(
    "%s: %j is accepted",
    async (param, value) => {
      expect(await send({ [param]: value })).toMatchObject({ status: 200 });
    },
  );

  test("null means the default, for every field that may be null", async () => {
    const nulls = Object.keys(known).filter((field) => !Object.hasOwn(body, field));
    for (const field of nulls) expect([field, await send({ [field]: null })]).toMatchObject([field, { status: 200 }]);
  });

  test("a field that nobody knows is refused by name", async () => {
    const { status, error } = await send({ temprature: 0.5 });
    expect([status, error.param, error.code]).toStrictEqual([400, "temprature", "unknown_parameter"]);
  });
});
