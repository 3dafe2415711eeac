/** Turns on one object, for every shell that gives a conversation its database. */

import { beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { findNode, type Node, type NodeLog } from "../../shared/conversation/nodes.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { readIds } from "../../shared/conversation/token-log.ts";
import type { TurnRequest } from "../../shared/conversation/types.ts";
import {
  allEvents,
  finished,
  greedy,
  request,
  sampled,
  sourceOf,
  type TestObject,
  testObject,
  unwrap,
  user,
} from "./fixture.ts";
import { unnamedParts } from "./invariants.ts";

export interface Shell {
  readonly name: string;
  load(): Promise<LoadedModel>;
  /** Runs `use` on an empty database. */
  withSql(use: (sql: Sql) => Promise<void>): Promise<void>;
}

export function turnsSuite(shell: Shell): void {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await shell.load();
  });
  const withObject = (use: (object: TestObject) => Promise<void>) =>
    shell.withSql(async (sql) => {
      const object = testObject(sql, sourceOf(loaded));
      await use(object);
      await object.settled();
    });
  const endless = () => ({ ...greedy, logitBias: loaded.model.config.eosIds.map((id) => [id, -100] as const) });
  const ask = (input: Parameters<typeof request>[1], options: Partial<TurnRequest> = {}) =>
    request(loaded.id, input, options);
  const hello = "Tell me a story about an owl.";

  describe(`turns on ${shell.name}`, () => {
    test("a turn has a start, texts in order and an end, and its texts are its output", () =>
      withObject(async (object) => {
        const events = await allEvents(unwrap(await object.open().turn(ask(hello), { quiet: false })).events);
        expect(events[0]).toMatchObject({ type: "start", response: { status: "in_progress", model: loaded.id } });
        const texts = events.filter((event) => event.type === "text");
        expect(texts.map(({ ordinal }) => ordinal)).toStrictEqual(texts.map((_, at) => at));
        const end = events[events.length - 1];
        expect(end).toMatchObject({ type: "end", texts: texts.length });
        if (end.type !== "end") return;
        expect(end.response.output).toBe(texts.map(({ text }) => text).join(""));
        expect(end.response.output).not.toBe("");
        expect(end.response).toMatchObject({ status: "incomplete", finishReason: "length" });
        expect(end.response.usage).toMatchObject({ cachedTokens: 0, outputTokens: 24 });
      }));

    test.each([
      ["greedy", {}],
      ["sampled", { sampling: sampled }],
    ])("a follow-up processes its own tokens alone, in a new instance too, and says the same: %s", (_, options) =>
      withObject(async (object) => {
        const first = object.open();
        const [a] = await finished(await first.turn(ask(hello, options), { quiet: true }));
        expect(a.usage).toMatchObject({ processedTokens: (a.usage?.inputTokens ?? 0) + 24 });
        const next = ask("And then?", { ...options, parent: { kind: "node", node: a.node } });
        const [b] = await finished(await first.turn(next, { quiet: true }));
        const [c] = await finished(await object.open().turn(next, { quiet: true }));
        for (const { usage } of [b, c]) {
          expect(usage?.cachedTokens).toBe((a.usage?.inputTokens ?? 0) + 24);
          const fresh = (usage?.inputTokens ?? 0) - (usage?.cachedTokens ?? 0);
          expect(usage?.processedTokens).toBe(fresh + (usage?.outputTokens ?? 0));
        }
        expect(c.output).toBe(b.output);
        expect(c.node).not.toBe(b.node);
      }),
    );

    test("with every checkpoint lost, the log gives the same text and honest usage", () =>
      withObject(async (object) => {
        const [a] = await finished(await object.open().turn(ask(hello), { quiet: true }));
        const next = ask("And then?", { parent: { kind: "node", node: a.node }, sampling: sampled });
        const [b] = await finished(await object.open().turn(next, { quiet: true }));
        object.sql.exec("DELETE FROM checkpoint");
        const [c] = await finished(await object.open().turn(next, { quiet: true }));
        expect(c.output).toBe(b.output);
        expect(c.usage).toMatchObject({ cachedTokens: 0, inputTokens: b.usage?.inputTokens });
        expect(c.usage?.processedTokens).toBe((c.usage?.inputTokens ?? 0) + (c.usage?.outputTokens ?? 0));
      }));

    test("a damaged checkpoint is noticed and rebuilt from the log", () =>
      withObject(async (object) => {
        const [a] = await finished(await object.open().turn(ask(hello), { quiet: true }));
        const next = ask("And then?", { parent: { kind: "node", node: a.node } });
        const [b] = await finished(await object.open().turn(next, { quiet: true }));
        object.sql.exec("UPDATE part SET bytes = zeroblob(length(bytes))");
        const [c] = await finished(await object.open().turn(next, { quiet: true }));
        expect(c.output).toBe(b.output);
        // It counted as cached what had to be processed again.
        const { inputTokens = 0, outputTokens = 0 } = c.usage ?? {};
        expect(c.usage).toMatchObject({ cachedTokens: 0, processedTokens: inputTokens + outputTokens });
      }));

    // Its usage was written down before it was known that nobody was there any more to share the work with.
    test("a choice that another instance computes counts the prompt that it had to process", () =>
      withObject(async (object) => {
        const first = object.open();
        const turn = ask(hello, { choices: 2, sampling: { ...sampled, ...endless(), temperature: 1 }, maxTokens: 400 });
        const begun = unwrap(await first.turn(turn, { quiet: true }));
        const [one, two] = begun.responses.map(({ node }) => node);
        await allEvents(unwrap(await first.events(one, { quiet: true })));
        const [end] = (await allEvents(unwrap(await object.open().events(two, { quiet: true })))).slice(-1);
        if (end?.type !== "end") throw new Error("the last event is the end");
        const { inputTokens = 0, outputTokens = 0 } = end.response.usage ?? {};
        expect(end.response.usage).toStrictEqual({
          inputTokens,
          outputTokens,
          cachedTokens: 0,
          processedTokens: inputTokens + outputTokens,
        });
      }));

    test("choices share the work on the prompt, and each is the one that its number alone would give", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const three = await finished(
          await conversation.turn(ask(hello, { choices: 3, sampling: sampled }), { quiet: true }),
        );
        expect(three).toHaveLength(3);
        expect(new Set(three.map(({ output }) => output)).size).toBe(3);
        expect(three[1].usage?.processedTokens).toBe(24);
        const [alone] = await finished(await conversation.turn(ask(hello, { sampling: sampled }), { quiet: true }));
        expect(three[0].output).toBe(alone.output);
        // The totals counted a turn and a prompt for each choice; the reply counts them once.
        await object.settled();
        const prompt = alone.usage?.inputTokens ?? 0;
        expect(object.notes[object.notes.length - 1].usage).toStrictEqual({
          turns: 2,
          inputTokens: 2 * prompt,
          cachedTokens: 0,
          outputTokens: 4 * 24,
        });
      }));

    test("behind a stop string the log ends where the text does, and the next turn goes on from there", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const [whole] = await finished(await conversation.turn(ask(hello, { maxTokens: 40 }), { quiet: true }));
        const middle = Math.floor(whole.output.length / 2);
        for (const length of [1, 5, 12]) {
          const stop = whole.output.slice(middle, middle + length);
          const options = { maxTokens: 40, stop: [stop, "nowhere"] };
          const [cut] = await finished(await conversation.turn(ask(hello, options), { quiet: true }));
          expect(cut.output).toBe(whole.output.slice(0, whole.output.indexOf(stop)));
          expect(cut).toMatchObject({ status: "completed", finishReason: "stop" });
          const { log } = findNode(object.sql, cut.node) as Node & { log: NodeLog };
          const replyIds = readIds(object.sql, cut.node, log.promptLength, log.promptLength + (log.kept ?? 0));
          expect(loaded.tokenizer.decode([...replyIds, ...log.tail])).toBe(cut.output);
          const next = ask("Go on.", { parent: { kind: "node", node: cut.node } });
          const [b] = await finished(await conversation.turn(next, { quiet: true }));
          object.sql.exec("DELETE FROM checkpoint");
          const [c] = await finished(await conversation.turn(next, { quiet: true }));
          expect(b.output).toBe(c.output);
          expect(b.usage?.processedTokens).toBe(
            (b.usage?.inputTokens ?? 0) - (b.usage?.cachedTokens ?? 0) + (b.usage?.outputTokens ?? 0),
          );
          expect(b.usage?.cachedTokens).toBeGreaterThan(0);
        }
      }));

    // It was refused behind every conversation, one with nothing in it too.
    test("a system message opens an empty conversation", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const input = [{ role: "system", content: "Be kind." } as const, user(hello)];
        const opening = ask(input, { parent: { kind: "branch", branch } });
        const [a] = await finished(await conversation.turn(opening, { quiet: true }));
        const [b] = await finished(await conversation.turn(ask(input), { quiet: true }));
        expect(a).toMatchObject({ output: b.output, usage: b.usage });
        expect(await conversation.turn(opening, { quiet: true })).toMatchObject({ error: { param: "input[0].role" } });
      }));

    test("instructions that change are folded in by replay; those that stay cost nothing", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const [a] = await finished(await conversation.turn(ask(hello, { instructions: "Be kind." }), { quiet: true }));
        const parent = { kind: "node", node: a.node } as const;
        const [same] = await finished(
          await conversation.turn(ask("Why?", { parent, instructions: "Be kind." }), { quiet: true }),
        );
        const [absent] = await finished(await conversation.turn(ask("Why?", { parent }), { quiet: true }));
        const [other] = await finished(
          await conversation.turn(ask("Why?", { parent, instructions: "Be brief." }), { quiet: true }),
        );
        expect(same.usage?.cachedTokens).toBeGreaterThan(0);
        expect(absent).toMatchObject({ output: same.output, usage: same.usage, instructions: "Be kind." });
        expect(other).toMatchObject({ instructions: "Be brief.", usage: { cachedTokens: 0 } });
      }));

    test("an idempotency key joins the turn that began first; another request under it is refused", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const idempotency = { key: "k", requestHash: "h" };
        const [one, two] = await Promise.all([
          conversation.turn(ask(hello, { idempotency }), { quiet: true }),
          conversation.turn(ask(hello, { idempotency }), { quiet: true }),
        ]);
        const [[a], [b]] = [await finished(one), await finished(two)];
        expect(b).toStrictEqual(a);
        const [later] = await finished(await object.open().turn(ask(hello, { idempotency }), { quiet: true }));
        expect(later).toStrictEqual(a);
        const other = await conversation.turn(ask("Else", { idempotency: { key: "k", requestHash: "x" } }), {
          quiet: true,
        });
        expect(other).toMatchObject({ ok: false, error: { status: 409, code: "idempotency_key_reused" } });
      }));

    test("another instance goes on with a turn where the first one vanished, and the first can't write any more", () =>
      withObject(async (object) => {
        const [whole] = await finished(
          await object.open().turn(ask(hello, { maxTokens: 200, sampling: sampled }), { quiet: true }),
        );
        const begun = unwrap(
          await object.open().turn(ask(hello, { maxTokens: 200, sampling: sampled }), { quiet: false }),
        );
        const { node } = begun.responses[0];
        await new Promise((resolve) => setTimeout(resolve, 5));
        const second = object.open();
        const events = await allEvents(unwrap(await second.events(node, { quiet: false })));
        const end = events[events.length - 1];
        expect(end).toMatchObject({ type: "end", response: { output: whole.output, status: whole.status } });
        const texts = events.flatMap((event) => (event.type === "text" ? [event] : []));
        expect(texts.map(({ ordinal }) => ordinal)).toStrictEqual(texts.map((_, at) => at));
        expect(texts.map(({ text }) => text).join("")).toBe(whole.output);
        expect(object.sql.exec("SELECT epoch FROM node WHERE id = ?", node)[0].epoch).toBe(2);
      }));

    test("long work is cut into segments that each end in a checkpoint, and nothing else changes", () =>
      withObject(async (object) => {
        const long = ask(Array(60).fill(hello).join(" "), { maxTokens: 150, sampling: sampled });
        const [whole] = await finished(await object.open().turn(long, { quiet: true }));
        object.segmentTokens = 64;
        const [cut] = await finished(await object.open().turn(long, { quiet: true }));
        expect(cut).toMatchObject({ output: whole.output, usage: whole.usage });
        const segments = object.wakeTimes.filter((time) => time <= Date.now());
        expect(segments.length).toBeGreaterThanOrEqual(5);
        await object.settled();
        await object.open().wake(); // each segment's last part is replaced by the next one's
        expect(unnamedParts(object.sql)).toStrictEqual([]);
      }));

    test("no segment computes more than its share and what is done between two breaths", () =>
      shell.withSql(async (sql) => {
        const ends: number[] = []; // tokens processed up to each checkpoint of the running turn
        const watched: Sql = {
          exec: (query, ...values) => sql.exec(query, ...values),
          transaction(body) {
            const result = sql.transaction(body);
            for (const { processed } of sql.exec("SELECT processed FROM node WHERE status = 'in_progress'"))
              if ((processed as number) > (ends.at(-1) ?? 0)) ends.push(processed as number);
            return result;
          },
        };
        const tokensPerYield = 4;
        const object = testObject(watched, sourceOf(loaded, { tokensPerYield }));
        object.segmentTokens = 100;
        const long = ask(Array(60).fill(hello).join(" "), { maxTokens: 300, sampling: endless() });
        const [response] = await finished(await object.open().turn(long, { quiet: true }));
        await object.settled();
        const { inputTokens = 0, processedTokens = 0 } = response.usage ?? {};
        const betweenBreaths = loaded.model.backend.maxTokens + 4 * tokensPerYield;
        const lengths = [...ends, processedTokens].map((end, at, all) => end - (all[at - 1] ?? 0));
        expect(Math.max(...lengths)).toBeLessThanOrEqual(object.segmentTokens + betweenBreaths);
        expect(Math.min(...lengths.slice(0, -1))).toBeGreaterThanOrEqual(object.segmentTokens);
        // Prompt and reply are both cut.
        expect(ends.filter((end) => end < inputTokens).length).toBeGreaterThan(2);
        expect(ends.filter((end) => end > inputTokens).length).toBeGreaterThan(1);
      }));

    test("cancel keeps what was said; a follow-up goes on behind it", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const begun = unwrap(
          await conversation.turn(ask(hello, { maxTokens: 2000, sampling: endless() }), { quiet: false }),
        );
        const { node } = begun.responses[0];
        const cancelled = unwrap(await conversation.cancel(node));
        expect(cancelled).toMatchObject({ status: "cancelled", finishReason: null });
        const [next] = await finished(
          await conversation.turn(ask("Go on.", { parent: { kind: "node", node } }), { quiet: true }),
        );
        expect(next.status).not.toBe("failed");
        expect(unwrap(await conversation.cancel(node))).toStrictEqual(unwrap(await conversation.response(node)));
      }));

    test("a reader that leaves ends the turn that keeps nothing, and no other", () =>
      withObject(async (object) => {
        const conversation = object.open();
        for (const whenUnread of ["stop", "go on"] as const) {
          const begun = unwrap(
            await conversation.turn(ask(hello, { maxTokens: 300, whenUnread, sampling: endless() }), { quiet: false }),
          );
          const reader = begun.events.getReader();
          await reader.read();
          await reader.cancel();
          const [end] = (
            await allEvents(unwrap(await conversation.events(begun.responses[0].node, { quiet: true })))
          ).slice(-1);
          expect(end).toMatchObject({ response: { status: whenUnread === "stop" ? "cancelled" : "incomplete" } });
        }
      }));

    // A cancelled RPC stream is heard of only when something is sent: a reader of ends alone left, and all was computed.
    test("a reader who waits for the end alone gets signs of life", () =>
      withObject(async (object) => {
        const { events } = unwrap(
          await object.open().turn(ask(hello, { maxTokens: 300, sampling: endless() }), { quiet: true }),
        );
        const text = await new Response(events).text();
        expect(text).toMatch(/^\n+\{/);
        expect(JSON.parse(text)).toMatchObject({ type: "end" });
      }));

    test("one turn at a time on a branch: the second waits briefly, then it is refused", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const parent = { kind: "branch", branch } as const;
        const both = await Promise.all([
          conversation.turn(ask(hello, { parent }), { quiet: true }),
          conversation.turn(ask("And you?", { parent }), { quiet: true }),
        ]);
        const [[first], [second]] = [await finished(both[0]), await finished(both[1])];
        expect(second.parent).toBe(first.node);
        const long = ask(hello, { parent, maxTokens: 100_000, sampling: endless() });
        const running = unwrap(await conversation.turn(long, { quiet: true }));
        const refused = await conversation.turn(ask("Hey!", { parent }), { quiet: true });
        expect(refused).toMatchObject({ ok: false, error: { status: 409, code: "conversation_busy" } });
        unwrap(await conversation.cancel(running.responses[0].node));
      }));

    test("a fork is a branch at any response, and the two lines know nothing of each other", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: { a: "b" } }));
        const [a] = await finished(
          await conversation.turn(ask(hello, { parent: { kind: "branch", branch } }), { quiet: true }),
        );
        const fork = unwrap(await conversation.createBranch({ node: a.node, items: [], metadata: {} }));
        const say = (to: number, text: string) =>
          conversation.turn(ask(text, { parent: { kind: "branch", branch: to } }), { quiet: true });
        const [b] = await finished(await say(branch, "And then?"));
        const [c] = await finished(await say(fork.branch, "And then?"));
        expect(c).toMatchObject({ output: b.output, usage: b.usage });
        const items = unwrap(await conversation.items(fork.branch, { order: "asc", limit: 10 }));
        expect(items.items.map(({ role }) => role)).toStrictEqual(["user", "assistant", "user", "assistant"]);
      }));

    test("the id of a deleted conversation never names another", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const create = async () =>
          unwrap(await conversation.createBranch({ node: null, items: [user("Hi.")], metadata: {} })).branch;
        const [, deleted] = [await create(), await create()];
        unwrap(await conversation.deleteBranch(deleted));
        expect(await create()).toBeGreaterThan(deleted);
        expect(await conversation.branch(deleted)).toMatchObject({ ok: false, error: { status: 404 } });
      }));

    test("with a conversation its stored responses go; one that goes on from it outside stays, with what it needs", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const inside = { parent: { kind: "branch", branch }, stored: true } as const;
        const [a] = await finished(await conversation.turn(ask(hello, inside), { quiet: true }));
        const [b] = await finished(await conversation.turn(ask("And then?", inside), { quiet: true }));
        const outside = { parent: { kind: "node", node: a.node }, stored: true } as const;
        const [c] = await finished(await conversation.turn(ask("Why?", outside), { quiet: true }));
        unwrap(await conversation.deleteBranch(branch));
        expect(await conversation.response(b.node)).toMatchObject({ ok: false, error: { status: 404 } });
        expect(unwrap(await conversation.response(a.node))).toStrictEqual(a);
        expect(unwrap(await conversation.response(c.node))).toStrictEqual(c);
      }));

    test("messages that are added without a reply are heard by the next turn", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(
          await conversation.createBranch({ node: null, items: [user("My name is Ann.")], metadata: {} }),
        );
        unwrap(await conversation.addItems(branch, [{ role: "assistant", content: "Hello, Ann." }, user("What is")]));
        const [a] = await finished(
          await conversation.turn(ask("my name?", { parent: { kind: "branch", branch } }), { quiet: true }),
        );
        const [b] = await finished(
          await conversation.turn(
            ask([user("My name is Ann."), { role: "assistant", content: "Hello, Ann." }, user("What is\n\nmy name?")]),
            { quiet: true },
          ),
        );
        expect(a).toMatchObject({ output: b.output, usage: b.usage });
      }));

    test("a deleted message is gone from rows, items and later replies", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const parent = { kind: "branch", branch } as const;
        const [a] = await finished(await conversation.turn(ask("The word is xylophone.", { parent }), { quiet: true }));
        await finished(await conversation.turn(ask(hello, { parent }), { quiet: true }));
        unwrap(await conversation.deleteItem(branch, a.node, 0));
        expect(JSON.stringify(object.sql.exec("SELECT * FROM node"))).not.toContain("xylophone");
        const [c] = await finished(await conversation.turn(ask("Bye.", { parent }), { quiet: true }));
        expect(c.usage?.cachedTokens).toBe(0);
        const items = unwrap(await conversation.items(branch, { order: "asc", limit: 100 }));
        expect(items.items.map(({ role }) => role)).toStrictEqual([
          "assistant",
          "user",
          "assistant",
          "user",
          "assistant",
        ]);
      }));

    // It could not be read any more, but was gone on from.
    test("a response whose reply was deleted is none, to read and to go on from; its conversation goes on", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const parent = { kind: "branch", branch } as const;
        const [a] = await finished(await conversation.turn(ask(hello, { parent }), { quiet: true }));
        unwrap(await conversation.deleteItem(branch, a.node, -1));
        const gone = { ok: false, error: { status: 404 } };
        expect(await conversation.response(a.node)).toMatchObject(gone);
        const behind = ask("And then?", { parent: { kind: "node", node: a.node } });
        expect(await conversation.turn(behind, { quiet: true })).toMatchObject(gone);
        const [b] = await finished(await conversation.turn(ask("Go on.", { parent }), { quiet: true }));
        expect(b.parent).toBe(a.node);
      }));

    // Deleted in one of them, it was gone from both.
    test("a message that a fork shares is not deleted while both have it", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const say = async (to: number, text: string) => {
          const parent = { kind: "branch", branch: to } as const;
          return (await finished(await conversation.turn(ask(text, { parent }), { quiet: true })))[0];
        };
        const shared = await say(branch, "The word is xylophone.");
        const fork = unwrap(await conversation.createBranch({ node: shared.node, items: [], metadata: {} })).branch;
        const [ours, theirs] = [await say(branch, hello), await say(fork, hello)];
        const contents = async () => {
          const pages = [branch, fork].map((line) => conversation.items(line, { order: "asc", limit: 100 }));
          return (await Promise.all(pages)).map((page) => unwrap(page).items.map(({ content }) => content));
        };
        const before = await contents();
        for (const line of [branch, fork])
          expect(await conversation.deleteItem(line, shared.node, 0)).toMatchObject({
            ok: false,
            error: { status: 409, code: "item_shared" },
          });
        expect(await contents()).toStrictEqual(before);
        unwrap(await conversation.deleteItem(fork, theirs.node, 0));
        expect((await contents())[0]).toStrictEqual(before[0]);
        unwrap(await conversation.deleteBranch(fork));
        unwrap(await conversation.deleteItem(branch, shared.node, 0));
        expect((await say(branch, "Bye.")).parent).toBe(ours.node);
      }));

    test("a deleted response leaves a tombstone; what follows it is rebuilt without it", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const [a] = await finished(await conversation.turn(ask(hello), { quiet: true }));
        const [b] = await finished(
          await conversation.turn(ask("xylophone", { parent: { kind: "node", node: a.node } }), { quiet: true }),
        );
        const [c] = await finished(
          await conversation.turn(ask("Why?", { parent: { kind: "node", node: b.node } }), { quiet: true }),
        );
        unwrap(await conversation.deleteResponse(b.node));
        expect(await conversation.response(b.node)).toMatchObject({ ok: false, error: { status: 404 } });
        const [d] = await finished(
          await conversation.turn(ask("So?", { parent: { kind: "node", node: c.node } }), { quiet: true }),
        );
        const [e] = await finished(
          await conversation.turn(
            ask([
              user(hello),
              { role: "assistant", content: a.output },
              user("Why?"),
              { role: "assistant", content: c.output },
              user("So?"),
            ]),
            { quiet: true },
          ),
        );
        expect(d.output).toBe(e.output);
        expect(unwrap(await conversation.response(c.node)).output).toBe(c.output);
      }));

    // The tombstone had none, and what followed it forgot them.
    test("instructions outlive the response that was deleted last, and those that only it had do not", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const parent = { kind: "branch", branch } as const;
        const say = async (text: string, instructions?: string) => {
          const options = { parent, ...(instructions === undefined ? {} : { instructions }) };
          return (await finished(await conversation.turn(ask(text, options), { quiet: true })))[0];
        };
        await say(hello, "Be kind.");
        const next = await say("And then?");
        unwrap(await conversation.deleteResponse(next.node));
        const again = await say("And then?");
        expect(again).toMatchObject({ instructions: "Be kind.", output: next.output, usage: next.usage });
        const other = await say("Why?", "Say xylophone.");
        unwrap(await conversation.deleteResponse(other.node));
        const after = await say("Why?");
        expect(after.instructions).toBe("Be kind.");
        expect(after.usage?.cachedTokens).toBeGreaterThan(0);
        expect(JSON.stringify(object.sql.exec("SELECT * FROM node"))).not.toContain("xylophone");
        object.sql.exec("UPDATE node SET digest = 'another model'");
        expect(await say("Go on.")).toMatchObject({ instructions: "Be kind.", usage: { cachedTokens: 0 } });
      }));

    // Text that is in force and text that the log begins with were taken for the same.
    test("messages behind a deleted response keep its instructions, and are not heard under those before it", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const parent = { kind: "branch", branch } as const;
        const [a] = await finished(
          await conversation.turn(ask(hello, { parent, instructions: "A." }), { quiet: true }),
        );
        const changed = ask("Why?", { parent, instructions: "B." });
        const [b] = await finished(await conversation.turn(changed, { quiet: true }));
        unwrap(await conversation.addItems(branch, [user("So?")]));
        unwrap(await conversation.deleteResponse(b.node));
        const [c] = await finished(await conversation.turn(ask([], { parent }), { quiet: true }));
        const said = [user(hello), { role: "assistant", content: a.output } as const, user("So?")];
        const [whole] = await finished(await conversation.turn(ask(said, { instructions: "B." }), { quiet: true }));
        expect(c).toMatchObject({ instructions: "B.", output: whole.output, usage: whole.usage });
      }));

    // Its log-probabilities were read for every question about it, and that took the model: not even erasing went without.
    test("a response whose model is gone can be read, streamed, cancelled and deleted", () =>
      withObject(async (object) => {
        const sampling = { ...greedy, logprobs: true };
        const [said] = await finished(await object.open().turn(ask(hello, { sampling }), { quiet: true }));
        expect(said.logprobs).toHaveLength(24);
        const models = { ...sourceOf(loaded), load: (id: string) => sourceOf({ ...loaded, id: "new" }).load(id) };
        const conversation = testObject(object.sql, models).open();
        const left = { ...said, logprobs: null };
        expect(unwrap(await conversation.response(said.node))).toStrictEqual(left);
        const events = await allEvents(unwrap(await conversation.events(said.node, { quiet: false })));
        expect(events.slice(1)).toStrictEqual([
          { type: "text", node: said.node, ordinal: 0, text: said.output },
          { type: "end", texts: 1, response: left },
        ]);
        expect(unwrap(await conversation.cancel(said.node))).toStrictEqual(left);
        expect(unwrap(await conversation.inputItems(said.node, { order: "asc", limit: 1 })).items).toHaveLength(1);
        unwrap(await conversation.deleteResponse(said.node));
        expect(await conversation.response(said.node)).toMatchObject({ ok: false, error: { status: 404 } });
      }));

    test("a state goes through a file and goes on in another object, processing nothing again", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const { branch } = unwrap(await conversation.createBranch({ node: null, items: [], metadata: {} }));
        const parent = { kind: "branch", branch } as const;
        await finished(await conversation.turn(ask(hello, { parent }), { quiet: true }));
        const file = unwrap(await conversation.exportState(branch));
        const [b] = await finished(await conversation.turn(ask("And then?", { parent }), { quiet: true }));
        await shell.withSql(async (sql) => {
          const elsewhere = testObject(sql, sourceOf(loaded));
          const other = elsewhere.open();
          const { branch: there } = unwrap(await other.createBranch({ node: null, items: [], metadata: {} }));
          unwrap(await other.importState(there, file));
          const [c] = await finished(
            await other.turn(ask("And then?", { parent: { kind: "branch", branch: there } }), { quiet: true }),
          );
          expect(c).toMatchObject({ output: b.output, usage: b.usage });
          const { items } = unwrap(await other.items(there, { order: "asc", limit: 10 }));
          expect(items[0].content).toBe(hello);
          await elsewhere.settled();
        });
      }));

    test("the tenant is told totals, and an unlisted conversation is gone after a day", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const [a] = await finished(await conversation.turn(ask(hello), { quiet: true }));
        await new Promise((resolve) => setTimeout(resolve, 20));
        const note = object.notes[object.notes.length - 1];
        expect(note.usage).toMatchObject({ turns: 1, outputTokens: a.usage?.outputTokens });
        expect(note.expiresAt).toBe(a.createdAt + 24 * 3600);
        object.clock = 1000 * (a.createdAt + 24 * 3600) - 1;
        await conversation.wake();
        expect(object.forgotten).toBe(false);
        object.clock += 2;
        await conversation.wake();
        expect(object.forgotten).toBe(true);
      }));

    test("refusals name what is wrong", () =>
      withObject(async (object) => {
        const conversation = object.open();
        const refused = async (turn: TurnRequest) => {
          const answer = await conversation.turn(turn, { quiet: true });
          return answer.ok ? null : answer.error;
        };
        expect(await refused(ask(hello, { parent: { kind: "node", node: 7 } }))).toMatchObject({ status: 404 });
        expect(await refused(ask(hello, { parent: { kind: "branch", branch: 7 } }))).toMatchObject({ status: 404 });
        expect(await refused(request("nobody", hello))).toMatchObject({ status: 404, param: "model" });
        expect(await refused(ask([{ role: "assistant", content: "I first." }]))).toMatchObject({ status: 400 });
        const sampling = { ...greedy, logitBias: [[1e6, 1]] as const };
        expect(await refused(ask(hello, { sampling }))).toMatchObject({ status: 400, param: "logit_bias" });
        expect(await refused(ask([]))).toMatchObject({ status: 400, param: "input" });
        const [said] = await finished(await conversation.turn(ask(hello), { quiet: true }));
        const late = ask([user("Hi."), { role: "system", content: "Be kind." }], {
          parent: { kind: "node", node: said.node },
        });
        expect(await refused(late)).toMatchObject({ status: 400, param: "input[1].role" });
      }));
  });
}
