/** Whatever message the official client hands out can be handed back to it, as it came. */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { setUp } from "./client.ts";
import { MODEL as model } from "./fake-services.ts";

const asked = { role: "user" as const, content: "a b" };
type Client = OpenAI;

// The client's helpers add fields of their own, `parsed` for one, and got a 400 for them.
const chats: Record<string, (openai: Client) => Promise<OpenAI.ChatCompletion>> = {
  create: (openai) => openai.chat.completions.create({ model, messages: [asked] }),
  parse: (openai) => openai.chat.completions.parse({ model, messages: [asked] }),
  stream: (openai) => openai.chat.completions.stream({ model, messages: [asked] }).finalChatCompletion(),
};

describe.each(Object.keys(chats))("a message of chat.completions.%s", (name) => {
  test("is one of the next request's messages", async () => {
    const { openai, services } = setUp();
    const { message } = (await chats[name](openai)).choices[0];
    await openai.chat.completions.create({ model, messages: [asked, message, { role: "user", content: "c" }] });
    expect(services.objects.size).toBe(1); // known by its words
  });
});

const responses: Record<string, (openai: Client) => Promise<OpenAI.Responses.Response>> = {
  create: (openai) => openai.responses.create({ model, input: [asked] }),
  parse: (openai) => openai.responses.parse({ model, input: [asked] }),
  stream: (openai) => openai.responses.stream({ model, input: [asked] }).finalResponse(),
};

describe.each(Object.keys(responses))("the output of responses.%s", (name) => {
  test("is the next request's input, and a conversation's items", async () => {
    const { openai } = setUp();
    const { output } = await responses[name](openai);
    const input = [asked, ...output, { role: "user" as const, content: "c" }] as OpenAI.Responses.ResponseInput;
    expect((await openai.responses.create({ model, input })).output_text).toBe("echo: c");
    const { id } = await openai.conversations.create({ items: [asked, ...output] as OpenAI.Responses.ResponseInput });
    const items = (await openai.conversations.items.list(id)).data;
    const again = [...items, { role: "user" as const, content: "d" }] as OpenAI.Responses.ResponseInput;
    expect((await openai.responses.create({ model, input: again })).output_text).toBe("echo: d");
  });
});

test("a message that was parsed into something is refused by name", async () => {
  const { openai } = setUp();
  const message = { role: "assistant" as const, content: "{}", parsed: {} };
  const attempt = openai.chat.completions.create({ model, messages: [asked, message, asked] });
  await expect(attempt).rejects.toMatchObject({ status: 400, param: "messages[1].parsed" });
});
