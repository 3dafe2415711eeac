/** The import of a state, behind the reader of its file: signed ones whose log, items and header say whatever they like. */

import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { nodeSql } from "../../cli/node-sql.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import { RefusedError } from "../../shared/conversation/refusal.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { MAX_ITEMS_BYTES } from "../../shared/conversation/state-file.ts";
import { MAX_NODE_TOKENS, readIds, toBytes } from "../../shared/conversation/token-log.ts";
import { freshModel } from "../conversation/bleed-model.ts";
import { finished, request, sourceOf, testObject, unwrap } from "../conversation/fixture.ts";
import { checkInvariants } from "../conversation/invariants.ts";
import { anyValue, changedBytes, changedJson, nearby, sized, textOf } from "./mutations.ts";
import { type AnyParser, entry, LARGE_BYTES, mustBe, mustEqual, refusedBy, type Verdict } from "./parser.ts";
import { resigned } from "./text-parsers.ts";

interface Parts {
  readonly header: unknown;
  readonly sections: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** Imports into one object: then the rows of the ones before are checked over and over. */
const IMPORTS_PER_OBJECT = 20;

export async function importParser(): Promise<AnyParser> {
  const loaded = await freshModel({ stateSlots: 2, maxTokens: 16 });
  const { vocabSize } = loaded.model.config;
  const models = sourceOf(loaded);
  const open = async () => {
    const sql = nodeSql(new DatabaseSync(":memory:"));
    const core = testObject(sql, models).open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    return { sql, core, branch };
  };
  const source = await open();
  const turn = request(loaded.id, "Hello!", { parent: { kind: "branch", branch: source.branch }, maxTokens: 8 });
  await finished(await source.core.turn(turn, { quiet: true }));
  const file = unwrap(await source.core.exportState(source.branch));
  const sound = partsOf(new Uint8Array(await new Response(file).arrayBuffer()));

  let held: Awaited<ReturnType<typeof open>> | null = null;
  let left = 0;
  return entry({
    name: "import of a state",
    inputs: files(sound, vocabSize),
    async judge(bytes: Uint8Array, measured): Promise<Verdict> {
      if (left-- === 0) [held, left] = [null, IMPORTS_PER_OBJECT];
      held ??= await open();
      const { sql, core, branch } = held;
      const answer = await measured(() => core.importState(branch, streamOf(bytes)));
      if (bytes.length > LARGE_BYTES) held = null; // nobody is to check its rows again
      mustEqual(checkInvariants(sql, loaded), [], "the database is unsound");
      if (answer.ok) return judgeImported(sql, core, branch, vocabSize);
      const { status, code, message } = answer.error;
      return refusedBy(
        new RefusedError(status, code, message),
        [RefusedError],
        /^state file: |^there is no model|^model: /,
      );
    },
  });
}

/** What was imported is a conversation like any other. */
async function judgeImported(sql: Sql, core: ConversationCore, branch: number, vocabSize: number): Promise<Verdict> {
  const { items } = unwrap(await core.items(branch, { limit: 100, order: "asc" }));
  for (const { role, content } of items as readonly { role: unknown; content: unknown }[])
    mustBe(
      ["system", "user", "assistant"].includes(role as string) && typeof content === "string",
      `it has a message of ${JSON.stringify(role)} that says ${JSON.stringify(content)}`,
    );
  const { head } = unwrap(await core.branch(branch));
  const wrong = readIds(sql, head as number).find((id) => id >= vocabSize);
  mustBe(wrong === undefined, `its log has the id ${wrong}`);
  return "accepted";
}

function files({ header, sections }: Parts, vocabSize: number): fc.Arbitrary<Uint8Array> {
  const [state, log, items] = ["state", "log", "items"].map(
    (name) => sections.find((section) => section.name === name)?.bytes as Uint8Array,
  );
  const ids = Array.from(new Uint32Array(log.slice().buffer));
  const id = fc.oneof(
    fc.nat(vocabSize - 1),
    fc.constantFrom(0, vocabSize, vocabSize + 1, 2 ** 16, 2 ** 31, 2 ** 32 - 1),
  );
  const logs = fc.oneof(
    { weight: 3, arbitrary: fc.constant(log) },
    {
      weight: 2,
      arbitrary: fc
        .array(fc.tuple(fc.nat(ids.length - 1), id), { maxLength: 2 })
        .map((edits) => edits.reduce((changed, [at, value]) => changed.with(at, value), ids))
        .map(toBytes),
    },
    { weight: 1, arbitrary: fc.constant(null) },
  );
  const text = new TextDecoder().decode(items);
  const said = fc.oneof(
    { weight: 3, arbitrary: textOf(changedJson([JSON.parse(text) as unknown, [], [{ role: "user", content: "a" }]])) },
    { weight: 1, arbitrary: textOf(anyValue) },
  );
  const listed = fc.oneof(
    { weight: 4, arbitrary: said.map((json) => new TextEncoder().encode(json)) },
    { weight: 1, arbitrary: changedBytes([items]) },
    { weight: 1, arbitrary: fc.constant(null) },
  );
  const changes = fc.record(
    {
      replyTokens: fc.oneof(fc.nat(ids.length + 2), fc.constant(-1)),
      position: fc.integer({ min: ids.length - 1, max: ids.length + 1 }),
      instructions: fc.oneof(fc.constant(null), fc.string({ unit: "binary", maxLength: 30 })),
      system: fc.string({ unit: "binary", maxLength: 30 }),
      model: fc.constantFrom("fledgling", "", "__proto__", "../x"),
    },
    { requiredKeys: [] },
  );
  const usual = fc
    .tuple(logs, listed, fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: changes }))
    .map(([log, items, change]) => {
      const given = Object.entries({ state, log, items }).flatMap(([name, bytes]) => (bytes ? [{ name, bytes }] : []));
      return signed({ header: { ...(header as object), ...change }, sections: given });
    });
  return sized(usual, largeFiles(header as object, state, vocabSize), 1);
}

/** A log of about as many ids as there may be, one of them perhaps none; messages that fill their section, long ones or many. */
function largeFiles(header: object, state: Uint8Array, vocabSize: number): fc.Arbitrary<Uint8Array> {
  const wrong = fc.option(fc.nat(MAX_NODE_TOKENS - 3), { freq: 3 });
  return fc
    .record({
      ids: nearby(MAX_NODE_TOKENS - 1),
      items: nearby(MAX_ITEMS_BYTES),
      count: fc.constantFrom(1, 2000),
      wrong,
    })
    .map(({ ids, items, count, wrong }) => {
      const log = new Uint32Array(ids).fill(vocabSize - 1);
      if (wrong !== null) log[wrong] = vocabSize;
      const messages = Array.from({ length: count }, (_, at) => ({
        role: at % 2 ? "assistant" : "user",
        content: "hi ",
      }));
      messages[0].content = "word ".repeat((items - JSON.stringify(messages).length) / 5);
      messages[0].content += "x".repeat(items - JSON.stringify(messages).length);
      const sections = [
        { name: "state", bytes: state },
        { name: "log", bytes: new Uint8Array(log.buffer) },
        { name: "items", bytes: new TextEncoder().encode(JSON.stringify(messages)) },
      ];
      return signed({ header: { ...header, position: ids, replyTokens: 5 }, sections });
    });
}

function signed({ header, sections }: Parts): Uint8Array {
  const listed = sections.map(({ name, bytes }) => ({
    name,
    bytes: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  }));
  const body = Buffer.concat(sections.map(({ bytes }) => bytes));
  return resigned(JSON.stringify({ ...(header as object), sections: listed }), body);
}

function partsOf(file: Uint8Array): Parts {
  const length = new DataView(file.buffer).getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(file.subarray(16, 16 + length))) as {
    sections: { name: string; bytes: number }[];
  };
  let at = 16 + length + 32;
  const sections = header.sections.map(({ name, bytes }) => {
    at += bytes;
    return { name, bytes: file.slice(at - bytes, at) };
  });
  return { header, sections };
}

const streamOf = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
