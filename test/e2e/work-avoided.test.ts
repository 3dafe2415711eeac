/**
 * A resumed conversation costs its new tokens and nothing else, and says what it would have said without interruption.
 * `processed_tokens` is counted inside `forward`; texts are compared with a conversation that nothing interrupted.
 */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { collect, greedy, seeded, serve } from "./served.ts";

type Response = OpenAI.Responses.Response;
type Params = OpenAI.Responses.ResponseCreateParamsNonStreaming;

interface Turn {
  readonly text: string;
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly processed: number;
}

const served = serve();
const script = [
  "My name is Anna. Tell me a story about an owl.",
  "And then?",
  "What is my name?",
  "Tell me another one.",
];
const length = { max_output_tokens: 40 };

function turnOf({ output_text: text, usage }: Response): Turn {
  if (!usage) throw new Error("a finished response has a usage");
  return {
    text,
    input: usage.input_tokens,
    cached: usage.input_tokens_details.cached_tokens,
    output: usage.output_tokens,
    processed: (usage as typeof usage & { processed_tokens: number }).processed_tokens,
  };
}

const say = (params: Partial<Params>) => served.openai.responses.create({ ...length, ...params });
const behind = (previous: Response | null) => (previous ? { previous_response_id: previous.id } : {});

/** All turns of the script, one after the other. `between` is run before each but the first. */
async function talk(sampling: Partial<Params>, between = async (_turn: number) => {}): Promise<Response[]> {
  const responses: Response[] = [];
  for (const [turn, input] of script.entries()) {
    if (turn > 0) await between(turn);
    responses.push(await say({ ...sampling, input, ...behind(responses.at(-1) ?? null) }));
  }
  return responses;
}

/** Only what is new went through the model: what the parent ended with was all there. */
function expectOnlyNew(turn: Turn, parent: Turn): void {
  expect(turn.cached).toBe(parent.input + parent.output);
  expect(turn.processed).toBe(turn.input - turn.cached + turn.output);
  expect(turn.input - turn.cached).toBeLessThan(40); // a question and its frame
}

describe.each([
  ["greedy", greedy],
  ["sampled with a seed", seeded],
])("%s", (name, sampling) => {
  let uninterrupted: Promise<Turn[]> | null = null;
  const follow = async (parent: Response) => turnOf(await say({ ...sampling, input: "And then?", ...behind(parent) }));
  const expected = () => {
    uninterrupted ??= talk(sampling).then((responses) => responses.map(turnOf));
    return uninterrupted;
  };

  test("in the same object each turn costs its own tokens", async () => {
    const turns = await expected();
    expect(turns[0]).toMatchObject({ cached: 0, processed: (turns[0]?.input ?? 0) + 40 });
    for (const [at, turn] of turns.entries()) if (at > 0) expectOnlyNew(turn, turns[at - 1] as Turn);
  });

  // The other tests compare resumed turns with resumed ones; this one with a model that reads everything from its first token.
  test("each turn is what its whole history gives, processed at once and from nothing", async () => {
    const toItsEnd = { ...sampling, max_output_tokens: 1000 }; // a text that was cut may have other tokens when read again
    const history: OpenAI.Responses.EasyInputMessage[] = [];
    let resumed: Response | null = null;
    for (const content of script) {
      history.push({ role: "user", content });
      const whole = turnOf(await say({ ...toItsEnd, input: history, store: false }));
      resumed = await say({ ...toItsEnd, input: content, ...behind(resumed) });
      const { text, input, output } = turnOf(resumed);
      // Nobody goes on behind what is not kept: its last token is never read.
      expect(whole).toStrictEqual({ text, input, output, cached: 0, processed: input + output - 1 });
      history.push({ role: "assistant", content: text });
    }
  });

  test("after the runtime was restarted before every turn", async () => {
    const responses = await talk(sampling, () => served.runtime.restart());
    expect(responses.map(turnOf)).toStrictEqual(await expected());
  });

  test("after the object was evicted before every turn", async () => {
    const evict = async () => {
      const { miniflare } = served.runtime;
      let evicted = 0;
      for (const id of await miniflare.listDurableObjectIds("CONVERSATIONS", "aerie")) {
        const isGone = miniflare.unsafeEvictDurableObject("aerie", "Conversation", { id }).then(
          () => true,
          () => false, // other conversations sleep already
        );
        if (await isGone) evicted++;
      }
      expect(evicted).toBeGreaterThan(0);
    };
    const responses = await talk(sampling, evict);
    expect(responses.map(turnOf)).toStrictEqual(await expected());
  });

  test("in a fork, and in what was forked", async () => {
    const turns = await expected();
    const { id } = await served.openai.conversations.create({});
    await say({ ...sampling, conversation: id, input: script[0] ?? "" });
    await say({ ...sampling, conversation: id, input: script[1] ?? "" });
    const fork = await served.json<{ id: string }>("POST", `/v1/conversations/${id}/fork`, {});
    for (const conversation of [fork.id, id]) {
      const third = turnOf(await say({ ...sampling, conversation, input: script[2] ?? "" }));
      const fourth = turnOf(await say({ ...sampling, conversation, input: script[3] ?? "" }));
      expect([third, fourth]).toStrictEqual(turns.slice(2));
    }
  });

  test("behind an imported state, the runtime restarted in between", async () => {
    const { id } = await served.openai.conversations.create({});
    await say({ ...sampling, conversation: id, input: script[0] ?? "" });
    await say({ ...sampling, conversation: id, input: script[1] ?? "" });
    const exported = await served.fetch("GET", `/v1/conversations/${id}/state`);
    const file = new Uint8Array(await exported.arrayBuffer());
    await served.openai.conversations.delete(id);
    await served.runtime.restart();
    const { id: conversation } = await served.openai.conversations.create({});
    await served.json("PUT", `/v1/conversations/${conversation}/state`, file);
    const third = turnOf(await say({ ...sampling, conversation, input: script[2] ?? "" }));
    const fourth = turnOf(await say({ ...sampling, conversation, input: script[3] ?? "" }));
    expect([third, fourth]).toStrictEqual((await expected()).slice(2));
  });

  test.each([false, true])(
    "by chat/completions with the whole history sent again, streamed: %s",
    async (isStreamed) => {
      const key = await served.runtime.key(`${name.slice(0, 1)}${isStreamed}`); // of a tenant that has no histories yet
      const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [];
      const turns: Turn[] = [];
      for (const [turn, content] of script.entries()) {
        if (turn === 2 && !isStreamed) await served.runtime.restart();
        messages.push({ role: "user", content });
        const [text, usage] = await chat(served.clientOf(key), { ...sampling, messages }, isStreamed);
        messages.push({ role: "assistant", content: text });
        turns.push(chatTurn(text, usage));
      }
      expect(turns).toStrictEqual(await expected());
    },
  );

  test("behind an old response, twice: a branch costs what the first way did", async () => {
    const responses = await talk(sampling);
    const turns = await expected();
    for (const at of [1, 2, 3]) {
      const branch = await say({ ...sampling, input: script[at] ?? "", ...behind(responses[at - 1] ?? null) });
      expect(turnOf(branch)).toStrictEqual(turns[at]);
    }
  });

  test("after an end token, after the longest allowed, after a cancel", async () => {
    const open = await say({ ...sampling, input: "Hello!", max_output_tokens: 1000 });
    expect(open.status).toBe("completed");
    const cut = await say({ ...sampling, input: "Hello!", max_output_tokens: 7 });
    expect(cut.status).toBe("incomplete");
    const next = async () => [await follow(open), await follow(cut)];
    const turns = await next();
    for (const [at, parent] of [open, cut].entries()) expectOnlyNew(turns[at] as Turn, turnOf(parent));
    await served.runtime.restart();
    expect(await next()).toStrictEqual(turns);
    const endless = { ...sampling, ...(await served.endless()), input: "Hello!" };
    const brokenOff = await cancelled({});
    expect(brokenOff.status).toBe("cancelled");
    const heard = await follow(brokenOff);
    expectOnlyNew(heard, turnOf(brokenOff));
    // The same words, ended by their number instead: nothing of the cancel is left to hear.
    const same = await say({ ...endless, max_output_tokens: turnOf(brokenOff).output });
    expect(same.output_text).toBe(brokenOff.output_text);
    expect(await follow(same)).toStrictEqual(heard);
  });

  test("after a stop string, wherever it cuts: as if the reply had never been longer", async () => {
    const whole = await say({ ...sampling, input: script[0] ?? "" });
    const fresh = await follow(whole);
    const before: { cut: Response; turn: Turn }[] = [];
    for (const [from, to] of [
      [10, 11],
      [12, 17],
      [21, 30],
    ]) {
      const stop = whole.output_text.slice(from, to);
      const cut = await say({ ...sampling, input: script[0] ?? "", ...({ stop: [stop] } as object) });
      expect(cut.output_text).toBe(whole.output_text.slice(0, whole.output_text.indexOf(stop)));
      expect(cut.status).toBe("completed");
      const turn = await follow(cut);
      expect(turn.processed).toBe(turn.input - turn.cached + turn.output);
      expect(turn.input - turn.cached).toBe(fresh.input - fresh.cached); // the same question in the same frame
      expect(turn.cached).toBeGreaterThan(turnOf(cut).input);
      before.push({ cut, turn });
    }
    await served.runtime.restart();
    for (const { cut, turn } of before) expect(await follow(cut)).toStrictEqual(turn);
  });

  test("by chat/completions with the whole history, behind a stop string", async () => {
    const whole = await say({ ...sampling, input: script[0] ?? "" });
    const stop = whole.output_text.slice(12, 17);
    const cut = await say({ ...sampling, input: script[0] ?? "", ...({ stop: [stop] } as object) });
    const key = await served.runtime.key(`${name.slice(0, 1)}stop`);
    const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [{ role: "user", content: script[0] ?? "" }];
    const [text] = await chat(served.clientOf(key), { ...sampling, messages, ...({ stop: [stop] } as object) }, false);
    expect(text).toBe(cut.output_text);
    await served.runtime.restart();
    messages.push({ role: "assistant", content: text }, { role: "user", content: "And then?" });
    const [reply, usage] = await chat(served.clientOf(key), { ...sampling, messages }, false);
    expect(chatTurn(reply, usage)).toStrictEqual(await follow(cut));
  });

  test.each(["a stop string", "a cancel"])("in a fork and behind an imported state, after %s", async (end) => {
    const { id } = await served.openai.conversations.create({});
    const ended = await (end === "a cancel" ? cancelled : stopped)({ conversation: id });
    const expectedTurn = await follow(ended);
    expect(expectedTurn.processed).toBe(expectedTurn.input - expectedTurn.cached + expectedTurn.output);
    expect(expectedTurn.input - expectedTurn.cached).toBeLessThan(40); // a question and its frame
    const file = new Uint8Array(await (await served.fetch("GET", `/v1/conversations/${id}/state`)).arrayBuffer());
    const fork = await served.json<{ id: string }>("POST", `/v1/conversations/${id}/fork`, {});
    await served.runtime.restart();
    const { id: copy } = await served.openai.conversations.create({});
    await served.json("PUT", `/v1/conversations/${copy}/state`, file);
    for (const conversation of [id, fork.id, copy])
      expect(turnOf(await say({ ...sampling, conversation, input: "And then?" }))).toStrictEqual(expectedTurn);
  });

  async function stopped(where: Partial<Params>): Promise<Response> {
    const whole = await say({ ...sampling, input: script[0] ?? "" });
    const stop = whole.output_text.slice(21, 30);
    return say({ ...sampling, ...where, input: script[0] ?? "", ...({ stop: [stop] } as object) });
  }

  async function cancelled(where: Partial<Params>): Promise<Response> {
    const endless = { ...sampling, ...(await served.endless()), input: "Hello!", max_output_tokens: 16_384 };
    const begun = await say({ ...endless, ...where, background: true });
    const events = await served.openai.responses.retrieve(begun.id, { stream: true });
    for await (const event of events) if (event.type === "response.output_text.delta") break;
    await served.openai.responses.cancel(begun.id);
    return served.openai.responses.retrieve(begun.id);
  }
});

function chatTurn(text: string, usage: OpenAI.CompletionUsage): Turn {
  return {
    text,
    input: usage.prompt_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    output: usage.completion_tokens,
    processed: (usage as typeof usage & { processed_tokens: number }).processed_tokens,
  };
}

async function chat(
  openai: OpenAI,
  options: Pick<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming, "messages">,
  isStreamed: boolean,
): Promise<[string, OpenAI.CompletionUsage]> {
  const params = { model: "", max_completion_tokens: length.max_output_tokens, ...options };
  if (!isStreamed) {
    const { choices, usage } = await openai.chat.completions.create(params);
    return [choices[0]?.message.content ?? "", usage as OpenAI.CompletionUsage];
  }
  const stream = await openai.chat.completions.create({
    ...params,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  return [text, chunks.at(-1)?.usage as OpenAI.CompletionUsage];
}
