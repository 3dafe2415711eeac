/** What goes wrong arrives as the official client's own error classes, and what is sent twice happens once. */

import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { collect, greedy, hello, serve, until } from "./served.ts";

const served = serve();
const limited = serve({ requestsPerMinute: 3 });
const body = { input: hello, max_output_tokens: 8, ...greedy };

async function errorOf(call: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OpenAI.APIError)) throw new Error("expected an error of the client", { cause: error });
  return error;
}

describe("error classes", () => {
  test("401: no key of ours, a forged one, a revoked form", async () => {
    const forged = `${served.key.slice(0, -1)}${served.key.endsWith("0") ? "1" : "0"}`;
    for (const key of ["sk-nobody", forged, "x"]) {
      const error = await errorOf(served.clientOf(key).models.list());
      expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
      expect(error).toMatchObject({ status: 401, type: "invalid_request_error", code: "invalid_api_key" });
    }
  });

  test("400: names the parameter, for values and for what is not supported", async () => {
    const wrong: [string, () => Promise<unknown>][] = [
      ["temperature", () => served.openai.responses.create({ ...body, temperature: 3 })],
      ["tools", () => served.openai.responses.create({ ...body, tools: [{ type: "web_search" }] })],
      ["max_output_tokens", () => served.openai.responses.create({ ...body, max_output_tokens: 1e9 })],
      [
        "response_format",
        () =>
          served.openai.chat.completions.create({
            model: "",
            messages: [{ role: "user", content: hello }],
            response_format: { type: "json_object" },
          }),
      ],
    ];
    for (const [param, call] of wrong) {
      const error = await errorOf(call());
      expect(error, param).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error.param?.split(/[.[]/)[0]).toBe(param);
    }
  });

  test("404: a response, a conversation, an item, a model, a URL", async () => {
    const { openai } = served;
    const { id } = await openai.responses.create(body);
    const conversation = await openai.conversations.create({});
    const last = id.endsWith("A") ? "B" : "A";
    const missing = [
      () => openai.responses.retrieve("resp_nothing"),
      () => openai.responses.retrieve(`${id.slice(0, -1)}${last}`),
      () => openai.responses.create({ ...body, previous_response_id: "resp_nothing" }),
      () => openai.conversations.retrieve(id),
      () => openai.conversations.items.retrieve("msg_nothing", { conversation_id: conversation.id }),
      () => openai.responses.create({ ...body, model: "gpt-5" }),
      () => openai.files.list(),
    ];
    for (const call of missing) expect(await errorOf(Promise.resolve(call()))).toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("404: another tenant's ids do not exist", async () => {
    const { id } = await served.openai.responses.create(body);
    const bob = served.clientOf(await served.runtime.key("bob"));
    expect(await errorOf(bob.responses.retrieve(id))).toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("409: a conversation that is answering says when to come back", async () => {
    const conversation = await served.openai.conversations.create({});
    const long = { ...body, ...(await served.endless()), max_output_tokens: 16_384, background: true };
    const running = await served.openai.responses.create({ ...long, conversation: conversation.id });
    const error = await errorOf(served.openai.responses.create({ ...body, conversation: conversation.id }));
    expect(error).toBeInstanceOf(OpenAI.ConflictError);
    expect(error).toMatchObject({ code: "conversation_busy" });
    expect(Number(error.headers?.get("retry-after"))).toBeGreaterThanOrEqual(1);
    await served.openai.responses.cancel(running.id);
    const next = await served.openai.responses.create({ ...body, conversation: conversation.id });
    expect(next.status).not.toBe("failed");
  });

  test("a stream that is refused fails before it begins", async () => {
    const { openai } = served;
    const missing = () => openai.responses.create({ ...body, previous_response_id: "resp_nothing", stream: true });
    expect(await errorOf(missing())).toBeInstanceOf(OpenAI.NotFoundError);
    const messages = [{ role: "assistant", content: "I first." }] satisfies OpenAI.Chat.ChatCompletionMessageParam[];
    const error = await errorOf(openai.chat.completions.create({ model: "", messages, stream: true }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.param).toBe("messages");
  });

  test("429: beyond the rate limit, with Retry-After", async () => {
    const errors: InstanceType<typeof OpenAI.APIError>[] = [];
    for (let call = 0; call < 4; call++) {
      const reply = limited.openai.models.list();
      await reply.catch((error: InstanceType<typeof OpenAI.APIError>) => errors.push(error));
    }
    expect(errors.length).toBeGreaterThan(0);
    expect(errors[0]).toBeInstanceOf(OpenAI.RateLimitError);
    expect(errors[0]).toMatchObject({ status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" });
    expect(Number(errors[0]?.headers?.get("retry-after"))).toBeGreaterThan(0);
  });

  test("every error carries the request's id", async () => {
    const error = await errorOf(served.openai.responses.retrieve("resp_nothing"));
    expect(error.requestID).toMatch(/^req_/);
  });
});

describe("Idempotency-Key", () => {
  const turnsOf = (openai: OpenAI) => async () => (await openai.get<{ turns: number }>("/usage", {})).turns;

  test("the same request under the same key is one turn: one after the other, at once, streamed, and never another", async () => {
    const openai = served.clientOf(await served.runtime.key("once"));
    const keyed = (key: string, changes: object = {}) =>
      openai.responses.create({ ...body, ...changes, stream: false }, { headers: { "Idempotency-Key": key } });
    const first = await keyed("a");
    expect(await keyed("a")).toStrictEqual(first);
    const both = await Promise.all([keyed("b"), keyed("b"), keyed("b")]);
    expect(new Set(both.map(({ id }) => id)).size).toBe(1);
    expect(both[1]).toStrictEqual(both[0]);
    const other = await errorOf(keyed("a", { max_output_tokens: 9 }));
    expect(other).toBeInstanceOf(OpenAI.ConflictError);
    expect(other).toMatchObject({ code: "idempotency_key_reused" });
    expect((await keyed("c")).id).not.toBe(first.id);
    const events = async () =>
      collect(await openai.responses.create({ ...body, stream: true }, { headers: { "Idempotency-Key": "d" } }));
    const [one, two] = await Promise.all([events(), events()]);
    expect(two).toStrictEqual(one);
    await until(turnsOf(openai), (turns) => turns >= 4);
    expect(await turnsOf(openai)()).toBe(4);
  });

  test("chat/completions: the same id, the same text", async () => {
    const openai = served.clientOf(await served.runtime.key("chatonce"));
    const chat = () =>
      openai.chat.completions.create(
        { model: "", messages: [{ role: "user", content: hello }], max_completion_tokens: 8 },
        { headers: { "Idempotency-Key": "k" } },
      );
    const [one, two] = await Promise.all([chat(), chat()]);
    expect(two.id).toBe(one.id);
    expect(two.choices).toStrictEqual(one.choices); // drawn at random, once
    expect((await chat()).choices).toStrictEqual(one.choices);
  });

  test("what another try can't mend is not tried again by the client", async () => {
    const headers = { "Idempotency-Key": "no-retry" };
    await served.openai.responses.create(body, { headers });
    let requests = 0;
    const retrying = served.openai.withOptions({
      maxRetries: 2,
      fetch: (url, init) => {
        requests++;
        return fetch(url, init);
      },
    });
    const error = await errorOf(retrying.responses.create({ ...body, max_output_tokens: 9 }, { headers }));
    expect(error).toMatchObject({ status: 409, code: "idempotency_key_reused" });
    expect(requests).toBe(1);
  });

  test("a key follows its conversation: the repeat of a follow-up is that follow-up", async () => {
    const { id } = await served.openai.responses.create(body);
    const next = () =>
      served.openai.responses.create(
        { ...body, input: "And then?", previous_response_id: id },
        { headers: { "Idempotency-Key": "follow" } },
      );
    const [one, two] = await Promise.all([next(), next()]);
    expect(two).toStrictEqual(one);
  });
});
