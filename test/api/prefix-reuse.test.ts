/** A chat that resends its whole history continues where it was; a request sent twice runs once. */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

type Message = OpenAI.ChatCompletionMessageParam;
const user = (content: string): Message => ({ role: "user", content });
const model = MODEL;

describe("prefix reuse", () => {
  async function twoTurns(change: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {}) {
    const set = setUp();
    const messages: Message[] = [{ role: "system", content: "Be brief." }, user("first words")];
    const first = await set.openai.chat.completions.create({ model, messages, ...change });
    messages.push(first.choices[0].message, user("second"));
    return { ...set, messages, first };
  }

  test("the whole history again costs the new message alone", async () => {
    const { openai, services, messages } = await twoTurns();
    const reply = await openai.chat.completions.create({ model, messages });
    expect(services.objects.size).toBe(1);
    const [{ turns }] = services.objects.values();
    expect(turns[0]).toMatchObject({ parent: { kind: "root" }, instructions: "Be brief." });
    expect(turns[1]).toMatchObject({
      parent: { kind: "node", node: 0, isVerbatim: true },
      input: [{ role: "user", content: "second" }],
    });
    expect(turns[1]).not.toHaveProperty("instructions");
    expect(reply.usage).toMatchObject({ prompt_tokens: 6, prompt_tokens_details: { cached_tokens: 5 } });
  });

  test("a streamed reply is remembered before its last bytes; so is each choice", async () => {
    const { openai, services, messages } = await twoTurns();
    const stream = await openai.chat.completions.create({ model, messages, stream: true, n: 2 });
    for await (const chunk of stream) if (chunk.choices[0].finish_reason) break;
    expect(services.prefixRows.size).toBeGreaterThanOrEqual(2);
    const now = services.now() / 1000;
    for (const { expiresAt } of services.prefixRows.values()) expect(expiresAt).toBe(now + 86_400);
  });

  test("however the same text is written", async () => {
    const { openai, services, messages } = await twoTurns();
    const [, first, reply, second] = messages;
    const parts = [
      { type: "text" as const, text: "Be " },
      { type: "text" as const, text: "brief." },
    ];
    await openai.chat.completions.create({
      model,
      messages: [{ role: "developer", content: parts }, first, reply, second],
    });
    expect([...services.objects.values()][0].turns[1].parent).toMatchObject({ kind: "node", node: 0 });
  });

  const changes: Record<string, (messages: readonly Message[]) => Message[]> = {
    "another system text": ([, ...rest]) => [{ role: "system", content: "Be long." }, ...rest],
    "another reply": ([system, first, , second]) => [system, first, { role: "assistant", content: "no" }, second],
    "a system text in between": (messages) => [...messages, { role: "system", content: "Now shout." }],
    "another model": (messages) => [...messages],
  };

  test.each(Object.keys(changes))("%s: a conversation of its own, with the whole history", async (what) => {
    const { openai, services, messages } = await twoTurns();
    const sent = changes[what](messages);
    await openai.chat.completions.create({ model: what === "another model" ? "other" : model, messages: sent });
    const second = [...services.objects.values()][1];
    expect(second.turns[0].parent).toStrictEqual({ kind: "root" });
    expect(second.turns[0].input).toHaveLength(sent.length - 1);
  });

  test("nothing new to answer: the conversation decides, with the whole history before it", async () => {
    const { openai, services, messages } = await twoTurns();
    const attempt = openai.chat.completions.create({ model, messages: messages.slice(0, 3) });
    await expect(attempt).rejects.toMatchObject({ status: 400, param: "messages" });
    expect([...services.objects.values()][1].turns[0].input).toHaveLength(2);
  });

  test("never across tenants", async () => {
    const { bob, services, messages } = await twoTurns();
    await bob.chat.completions.create({ model, messages });
    expect(services.conversation("bob", "object2").turns[0].parent).toStrictEqual({ kind: "root" });
  });

  test.each(["it is gone", "somebody is at it"])("%s: the whole history will do", async (what) => {
    const { openai, services, messages } = await twoTurns();
    const [conversation] = services.objects.values();
    if (what === "it is gone") await conversation.destroy();
    else conversation.isBusy = true;
    const reply = await openai.chat.completions.create({ model, messages });
    expect(reply.choices[0].message.content).toBe("echo: second");
    expect(services.objects.size).toBe(2);
  });

  test("a prefix index that fails costs nothing but time", async () => {
    const { openai, services, messages } = await twoTurns();
    services.prefixes = () => {
      throw new Error("unreachable");
    };
    const reply = await openai.chat.completions.create({ model, messages });
    expect(reply.choices[0].message.content).toBe("echo: second");
    expect(services.reported).toMatchObject([{ message: "unreachable" }, { message: "unreachable" }]);
  });
});

describe("idempotency", () => {
  const request = { messages: [user("once")] };
  const key = { "idempotency-key": "k-1" };

  // The second reply said a seed that was drawn for it, and made nothing: sent along, it gave another reply.
  test("the same request twice is one turn with one seed, another one is a conflict", async () => {
    const { call, services } = setUp();
    const first = await call("POST", "/v1/chat/completions", request, key);
    const second = await call("POST", "/v1/chat/completions", request, key);
    expect(JSON.parse(second.text)).toStrictEqual(JSON.parse(first.text));
    expect(services.objects.size).toBe(1);
    expect([...services.objects.values()][0].nodes).toHaveLength(1);
    const other = await call("POST", "/v1/chat/completions", { messages: [user("twice")] }, key);
    expect([other.status, JSON.parse(other.text).error.code]).toStrictEqual([409, "idempotency_key_reused"]);
  });

  test("a reply that can be asked for again goes on without its reader", async () => {
    const { call, services } = setUp();
    await call("POST", "/v1/chat/completions", request, key);
    expect([...services.objects.values()][0].turns[0].whenUnread).toBe("go on");
  });

  test("another tenant's keys are its own", async () => {
    const { call, services } = setUp();
    await call("POST", "/v1/chat/completions", request, key);
    const bobs = await call(
      "POST",
      "/v1/chat/completions",
      { messages: [user("twice")] },
      { ...key, authorization: "Bearer sk-bob" },
    );
    expect(bobs.status).toBe(200);
    expect(services.objects.size).toBe(2);
  });

  test("a place that is gone is used again, so that a third request finds it", async () => {
    const { call, services } = setUp();
    const first = JSON.parse((await call("POST", "/v1/chat/completions", request)).text);
    await services.conversation("alice", "object1").deleteResponse(0);
    const again = { messages: [...request.messages, first.choices[0].message, user("more")] };
    const replies = [
      await call("POST", "/v1/chat/completions", again, key),
      await call("POST", "/v1/chat/completions", again, key),
    ];
    expect(JSON.parse(replies[1].text).id).toBe(JSON.parse(replies[0].text).id);
    expect(services.objects.size).toBe(1);
  });

  // A mistake under a key kept the key for a day, though nothing had run.
  test("a request that is refused for what it says leaves its key free; one that finds the server busy keeps it", async () => {
    const { call, services } = setUp();
    const refused = { messages: [{ role: "assistant", content: "I first." }] };
    for (const path of ["/v1/chat/completions", "/v1/responses"]) {
      const asBody = (body: { messages: unknown }) => (path.endsWith("responses") ? { input: body.messages } : body);
      const send = async (body: { messages: unknown }) => (await call("POST", path, asBody(body), key)).status;
      expect(await send(refused)).toBe(400);
      expect([await send(request), await send(request), await send(refused)]).toStrictEqual([200, 200, 409]);
      services.claims.clear();
    }
    const busy = { messages: [user("refuse")] };
    expect((await call("POST", "/v1/chat/completions", busy, key)).status).toBe(429);
    expect((await call("POST", "/v1/chat/completions", request, key)).status).toBe(409);
  });

  test("the key of a response that was deleted stays its own", async () => {
    const { call, services } = setUp();
    await call("POST", "/v1/chat/completions", request, key);
    const [conversation] = services.objects.values();
    conversation.turn = async () => ({
      ok: false,
      error: { status: 404, code: "response_not_found", message: "there is no such response", param: null },
    });
    expect((await call("POST", "/v1/chat/completions", request, key)).status).toBe(404);
    expect(services.claims.size).toBe(1);
  });

  test("a key that is too long is refused", async () => {
    const { call } = setUp();
    const { status } = await call("POST", "/v1/chat/completions", request, { "idempotency-key": "k".repeat(256) });
    expect(status).toBe(400);
  });
});
