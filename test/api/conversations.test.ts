/** /v1/conversations, items, forks, state files, a tenant's data, models and tokens. */

import { expect, test } from "vitest";
import { setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

const model = MODEL;
const json = (text: string) => JSON.parse(text);

test("create, retrieve, update, delete", async () => {
  const { openai, services } = setUp();
  const conversation = await openai.conversations.create({ metadata: { topic: "tea" } });
  expect(conversation).toMatchObject({ object: "conversation", metadata: { topic: "tea" } });
  expect(services.registered.get("alice")).toHaveLength(1);
  expect(await openai.conversations.retrieve(conversation.id)).toStrictEqual(conversation);
  const updated = await openai.conversations.update(conversation.id, { metadata: { topic: "coffee" } });
  expect(updated.metadata).toStrictEqual({ topic: "coffee" });
  expect(await openai.conversations.delete(conversation.id)).toMatchObject({ deleted: true });
  await expect(openai.conversations.retrieve(conversation.id)).rejects.toMatchObject({ status: 404 });
});

test("without a body, too", async () => {
  const { openai } = setUp();
  expect((await openai.conversations.create()).metadata).toStrictEqual({});
});

test("responses of a conversation go on behind each other, its items tell of all", async () => {
  const { openai } = setUp();
  const { id } = await openai.conversations.create({ items: [{ role: "user", content: "I am Ada." }] });
  const response = await openai.responses.create({ model, input: "Who am I?", conversation: id });
  expect(response.conversation).toStrictEqual({ id });
  expect(response.previous_response_id).toBe(null);
  await openai.responses.create({ model, input: "And you?", conversation: { id } });
  const items = [];
  for await (const item of openai.conversations.items.list(id, { order: "asc", limit: 2 })) items.push(item);
  expect(items.map((item) => (item as { content: { text: string }[] }).content[0].text)).toStrictEqual([
    "I am Ada.",
    "Who am I?",
    "echo: Who am I?",
    "And you?",
    "echo: And you?",
  ]);
  expect(items[2]).toMatchObject({ role: "assistant", content: [{ type: "output_text" }] });
  expect(await openai.conversations.items.retrieve(items[2].id!, { conversation_id: id })).toStrictEqual(items[2]);
});

test("items are added, answered and deleted", async () => {
  const { openai } = setUp();
  const { id } = await openai.conversations.create();
  const added = await openai.conversations.items.create(id, { items: [{ role: "user", content: "one" }] });
  expect(added).toMatchObject({ object: "list", has_more: false, first_id: added.data[0].id });
  const { output_text: text } = await openai.responses.create({ model, conversation: id });
  expect(text).toBe("echo: one");
  const [last] = (await openai.conversations.items.list(id)).data;
  const conversation = await openai.conversations.items.delete(last.id!, { conversation_id: id });
  expect(conversation.id).toBe(id);
  await expect(openai.conversations.items.retrieve(last.id!, { conversation_id: id })).rejects.toMatchObject({
    status: 404,
  });
});

test("an item or a response of another conversation is not found in this one", async () => {
  const { openai, call } = setUp();
  const [one, two] = [await openai.conversations.create(), await openai.conversations.create()];
  const { data } = await openai.conversations.items.create(one.id, { items: [{ role: "user", content: "x" }] });
  const response = await openai.responses.create({ model, conversation: one.id });
  const lookup = openai.conversations.items.retrieve(data[0].id!, { conversation_id: two.id });
  await expect(lookup).rejects.toMatchObject({ status: 404 });
  await expect(openai.conversations.items.list(two.id, { after: data[0].id! })).rejects.toMatchObject({ status: 404 });
  expect((await call("POST", `/v1/conversations/${two.id}/fork`, { response_id: response.id })).status).toBe(404);
});

test("list, page by page, newest first", async () => {
  const { openai, call } = setUp();
  const ids = [];
  for (let i = 0; i < 3; i++) ids.unshift((await openai.conversations.create()).id);
  const first = json((await call("GET", "/v1/conversations?limit=2")).text);
  expect([first.data.length, first.has_more]).toStrictEqual([2, true]);
  const second = json((await call("GET", `/v1/conversations?limit=2&after=${first.last_id}`)).text);
  expect([...first.data, ...second.data].map(({ id }) => id)).toStrictEqual(ids);
  expect((await call("GET", "/v1/conversations?limit=0")).status).toBe(400);
  expect((await call("GET", "/v1/conversations?page=2")).status).toBe(400);
});

test("fork: at the newest response or at an earlier one", async () => {
  const { openai, call } = setUp();
  const { id } = await openai.conversations.create({ metadata: { a: "b" } });
  expect((await call("POST", `/v1/conversations/${id}/fork`)).status).toBe(409);
  const first = await openai.responses.create({ model, input: "one", conversation: id });
  await openai.responses.create({ model, input: "two", conversation: id });
  const whole = json((await call("POST", `/v1/conversations/${id}/fork`)).text);
  const early = json(
    (await call("POST", `/v1/conversations/${id}/fork`, { response_id: first.id, metadata: null })).text,
  );
  expect(whole.metadata).toStrictEqual({ a: "b" });
  expect((await openai.conversations.items.list(whole.id)).data).toHaveLength(4);
  expect((await openai.conversations.items.list(early.id)).data).toHaveLength(2);
});

test("state: out and in again", async () => {
  const { openai, call } = setUp();
  const { id } = await openai.conversations.create();
  const path = `/v1/conversations/${id}/state`;
  const exported = await call("GET", path);
  expect(exported.response.headers.get("content-type")).toBe("application/octet-stream");
  const octets = { "content-type": "application/octet-stream" };
  expect(json((await call("PUT", path, exported.text, octets)).text).id).toBe(id);
  expect((await call("PUT", path, "something else", octets)).status).toBe(400);
  expect((await call("PUT", path, exported.text, { "content-type": "text/plain" })).status).toBe(415);
  const large = { ...octets, "content-length": String(33 * 1024 * 1024) };
  expect((await call("PUT", path, exported.text, large)).status).toBe(413);
});

test("a tenant takes away everything it has, and erases it", async () => {
  const { openai, bob, call } = setUp();
  await openai.conversations.create({ metadata: { a: "b" } });
  await openai.chat.completions.create({ model, messages: [{ role: "user", content: "unlisted" }] });
  const bobs = await bob.responses.create({ model, input: "mine" });
  const exported = (await call("GET", "/v1/data")).text.trim().split("\n").map(json);
  expect(exported).toMatchObject([
    { object: "conversation", metadata: { a: "b" } },
    { object: "response", input: [{ role: "user", content: "unlisted" }], output: [{}] },
  ]);
  expect(json((await call("DELETE", "/v1/data")).text)).toMatchObject({ conversations: 2, has_more: false });
  expect((await call("GET", "/v1/data")).text).toBe("");
  expect((await bob.responses.retrieve(bobs.id)).output_text).toBe("echo: mine");
});

// It ended the call, and so did every call after it: what came behind it could never be erased.
test("a conversation that can't be erased keeps none of the others", async () => {
  const { openai, call, services } = setUp();
  for (const input of ["a", "b", "c"]) await openai.responses.create({ model, input });
  const broken = services.conversation("alice", "object1");
  const destroy = broken.destroy;
  broken.destroy = async () => {
    throw new Error("storage is gone");
  };
  const erase = async () => json((await call("DELETE", "/v1/data")).text);
  expect(await erase()).toMatchObject({ deleted: false, conversations: 2, failed: 1, has_more: false });
  expect(services.reported).toMatchObject([{ message: "storage is gone" }]);
  broken.destroy = destroy;
  expect(await erase()).toMatchObject({ deleted: true, conversations: 1, failed: 0, has_more: false });
});

test("usage, models, tokens", async () => {
  const { openai, call } = setUp();
  expect(json((await call("GET", "/v1/usage")).text)).toMatchObject({ turns: 2, total_tokens: 35 });
  const models = [];
  for await (const one of openai.models.list()) models.push(one.id);
  expect(models).toStrictEqual([model, "other"]);
  expect(await openai.models.retrieve(model)).toMatchObject({ object: "model", owned_by: "aerie" });
  await expect(openai.models.retrieve("gpt-9")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  const { tokens, count } = json((await call("POST", "/v1/tokenize", { text: "hi" })).text);
  expect([tokens, count]).toStrictEqual([[104, 105], 2]);
  expect(json((await call("POST", "/v1/detokenize", { tokens })).text).text).toBe("hi");
});
