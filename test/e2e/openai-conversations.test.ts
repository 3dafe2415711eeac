/** conversations and their items by the official client; forks and state files, for which it has no methods. */

import type OpenAI from "openai";
import { expect, test } from "vitest";
import { collect, greedy, hello, serve } from "./served.ts";

type Conversation = OpenAI.Conversations.Conversation;

const served = serve();
const say = (conversation: string, input: string) =>
  served.openai.responses.create({ conversation, input, max_output_tokens: 16, ...greedy });
const rolesOf = (items: readonly OpenAI.Conversations.ConversationItem[]) =>
  items.map((item) => ("role" in item ? item.role : item.type));
const itemsOf = (conversation: string) =>
  collect(served.openai.conversations.items.list(conversation, { order: "asc", limit: 3 }));

test("a conversation is created, read, changed, listed and deleted", async () => {
  const { conversations } = served.openai;
  const made = await conversations.create({ metadata: { topic: "owls" } });
  expect(made).toMatchObject({
    object: "conversation",
    id: expect.stringMatching(/^conv_/),
    metadata: { topic: "owls" },
  });
  expect(await conversations.retrieve(made.id)).toStrictEqual(made);
  const changed = await conversations.update(made.id, { metadata: { topic: "cats" } });
  expect(changed).toStrictEqual({ ...made, metadata: { topic: "cats" } });
  const listed = await served.json<{ data: Conversation[] }>("GET", "/v1/conversations?limit=5");
  expect(listed.data).toContainEqual(changed);
  expect(await conversations.delete(made.id)).toMatchObject({
    id: made.id,
    deleted: true,
    object: "conversation.deleted",
  });
  await expect(conversations.retrieve(made.id)).rejects.toMatchObject({ status: 404 });
  const left = await served.json<{ data: Conversation[] }>("GET", "/v1/conversations?limit=100");
  expect(left.data.map(({ id }) => id)).not.toContain(made.id);
});

test("the list has pages that lead through all of them", async () => {
  const made: string[] = [];
  for (let count = 0; count < 4; count++) made.unshift((await served.openai.conversations.create({})).id);
  const seen: string[] = [];
  for (let after = ""; seen.length < 4; ) {
    const query = `limit=2${after && `&after=${after}`}`;
    const page = await served.json<{ data: Conversation[]; last_id: string }>("GET", `/v1/conversations?${query}`);
    expect(page.data).toHaveLength(2);
    seen.push(...page.data.map(({ id }) => id));
    after = page.last_id;
  }
  expect(new Set(seen)).toStrictEqual(new Set(made));
});

test("a conversation carries on by itself, and its items are all that was said", async () => {
  const { id } = await served.openai.conversations.create({
    items: [
      { type: "message", role: "user", content: "My name is Anna." },
      { type: "message", role: "assistant", content: "Hello, Anna!" },
    ],
  });
  const a = await say(id, hello);
  const b = await say(id, "And then?");
  expect([a.conversation, b.conversation]).toStrictEqual([{ id }, { id }]);
  const items = await itemsOf(id);
  expect(rolesOf(items)).toStrictEqual(["user", "assistant", "user", "assistant", "user", "assistant"]);
  expect(items[3]).toMatchObject({ id: a.output[0]?.id, content: [{ text: a.output_text }] });
  const newest = await served.openai.conversations.items.list(id, { limit: 1 });
  expect(newest.data[0]).toMatchObject({ id: b.output[0]?.id });
  expect(newest.has_more).toBe(true);
  // The same in the words of the other API: one history, one reply.
  const plain = await served.openai.responses.create({
    input: [
      { role: "user", content: "My name is Anna." },
      { role: "assistant", content: "Hello, Anna!" },
      { role: "user", content: hello },
    ],
    max_output_tokens: 16,
    ...greedy,
  });
  expect(plain.output_text).toBe(a.output_text);
});

test("items are added, read and deleted, and the next turn knows", async () => {
  const { items } = served.openai.conversations;
  const { id } = await served.openai.conversations.create({});
  const added = await items.create(id, { items: [{ type: "message", role: "user", content: "My name is Anna." }] });
  expect(added).toMatchObject({ object: "list", data: [{ role: "user", status: "completed" }] });
  const first = added.data[0]?.id ?? "";
  expect(await items.retrieve(first, { conversation_id: id })).toStrictEqual(added.data[0]);
  const a = await say(id, "What is my name?");
  expect(await items.delete(first, { conversation_id: id })).toMatchObject({ id });
  await expect(items.retrieve(first, { conversation_id: id })).rejects.toMatchObject({ status: 404 });
  expect(rolesOf(await itemsOf(id))).toStrictEqual(["user", "assistant"]);
  const b = await say(id, "And now?");
  expect(b.usage?.input_tokens_details.cached_tokens).toBe(0); // the log was rewritten without it
  expect(a.usage?.input_tokens).toBeGreaterThan(0);
});

test("a fork has the same past and a future of its own", async () => {
  const { id } = await served.openai.conversations.create({ metadata: { topic: "owls" } });
  const a = await say(id, hello);
  const early = await served.json<Conversation>("POST", `/v1/conversations/${id}/fork`, { response_id: a.id });
  const b = await say(id, "And then?");
  const late = await served.json<Conversation>("POST", `/v1/conversations/${id}/fork`, { metadata: { fork: "late" } });
  expect(early).toMatchObject({ object: "conversation", metadata: { topic: "owls" } });
  expect(late).toMatchObject({ metadata: { fork: "late" } });
  const same = await say(early.id, "And then?");
  expect(same).toMatchObject({ output_text: b.output_text, usage: b.usage });
  const [c, d] = [await say(late.id, "Why?"), await say(id, "Why?")];
  expect(d).toMatchObject({ output_text: c.output_text, usage: c.usage });
  expect((await itemsOf(early.id)).length).toBe(4);
  await served.openai.conversations.delete(id);
  expect((await itemsOf(late.id)).length).toBe(6);
  expect((await say(late.id, "Are you there?")).status).not.toBe("failed");
});

test("a state goes out as a file of the same size however long the talk, and comes in elsewhere", async () => {
  const { id } = await served.openai.conversations.create({});
  await say(id, hello);
  const exported = async () => {
    const response = await served.fetch("GET", `/v1/conversations/${id}/state`);
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    return new Uint8Array(await response.arrayBuffer());
  };
  const file = await exported();
  const b = await say(id, "And then?");
  expect((await exported()).length - file.length).toBeLessThan(1_000); // 40 tokens and their text
  const elsewhere = await served.openai.conversations.create({});
  await served.json("PUT", `/v1/conversations/${elsewhere.id}/state`, file);
  const c = await say(elsewhere.id, "And then?");
  expect(c).toMatchObject({ output_text: b.output_text, usage: b.usage });
  expect(rolesOf(await itemsOf(elsewhere.id))).toStrictEqual(["user", "assistant", "user", "assistant"]);
  const damaged = file.slice();
  damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
  const refused = await served.fetch("PUT", `/v1/conversations/${elsewhere.id}/state`, damaged);
  expect(refused.status).toBe(400);
});
