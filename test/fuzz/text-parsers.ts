/** Tokenizers, state files and the list of models. */

import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { parseCatalogue } from "../../durable-objects/model-catalogue.ts";
import { parseStrictJson } from "../../shared/checkpoint/strict-json.ts";
import { RefusedError } from "../../shared/conversation/refusal.ts";
import {
  MAX_ITEMS_BYTES,
  readStateFile,
  type StateHeader,
  writeStateFile,
} from "../../shared/conversation/state-file.ts";
import { MAX_NODE_TOKENS, toBytes } from "../../shared/conversation/token-log.ts";
import { AerieError, CheckpointError, TokenizerError } from "../../shared/errors.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { parseTokenizer } from "../../shared/tokenizer/tokenizer.ts";
import { smallHfConfig } from "../model/random-model.ts";
import { byteLevelJson, smallJson } from "../tokenizer/small.ts";
import { anyValue, changedBytes, changedJson, nearby, sized, textOf } from "./mutations.ts";
import { type AnyParser, entry, type Measured, mustBe, mustEqual, refusedBy, type Verdict } from "./parser.ts";

export async function textParsers(): Promise<readonly AnyParser[]> {
  const sound = await soundState();
  return [
    entry({ name: "tokenizer", inputs: tokenizers(), judge: judgeTokenizer }),
    entry({ name: "state file", inputs: stateFiles(sound), judge: judgeState }),
    entry({ name: "AERIE_MODELS", inputs: textOf(changedJson([models])), judge: judgeModels }),
  ];
}

// -- tokenizer.json and tokenizer_config.json

interface TokenizerCase {
  readonly json: string;
  readonly config: string | null;
}

const soundConfig = {
  bos_token: "<bos>",
  eos_token: { content: "<eos>", special: true },
  pad_token: "<pad>",
  add_bos_token: true,
  additional_special_tokens: ["<start_of_turn>"],
  added_tokens_decoder: { 2: { content: "<bos>", special: true } },
};

/** Metaspace, digits and other steps of real files, so that changes reach their readers. */
const otherSteps = [
  {
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "NFKC" },
        { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
      ],
    },
  },
  {
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [{ type: "Digits", individual_digits: true }, { type: "Whitespace" }],
    },
  },
  { pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true } },
];

function tokenizers(): fc.Arbitrary<TokenizerCase> {
  const sound = [smallJson(), byteLevelJson(), ...otherSteps.map((top) => smallJson(top))];
  const steps = ["normalizer", "pre_tokenizer"];
  // A vocabulary has hundreds of members, everything else a few: changes of those are worth as many cases.
  const fields = fc.constantFrom(...steps, ...steps, ...steps, "added_tokens", "post_processor", "decoder", "model");
  const oneField = fc.tuple(fc.constantFrom(...sound), fields, fc.nat(9)).chain(([json, field, chance]) => {
    const value = (json as Record<string, unknown>)[field];
    const changed = chance === 0 ? anyValue : changedJson([value], 2);
    return changed.map((found) => ({ ...json, [field]: found }));
  });
  const oneId = fc.tuple(fc.constantFrom(...sound), fc.nat(9999), anyValue).map(([json, at, id]) => {
    const pieces = Object.keys(json.model.vocab);
    const vocab = { ...json.model.vocab, [pieces[at % pieces.length]]: id };
    return { ...json, model: { ...json.model, vocab } };
  });
  return fc.record({
    json: textOf(
      fc.oneof(
        { weight: 4, arbitrary: oneField },
        { weight: 1, arbitrary: oneId },
        { weight: 2, arbitrary: changedJson<unknown>(sound) },
      ),
    ),
    config: fc.option(textOf(changedJson([soundConfig])), { nil: null }),
  });
}

const said = ["hello world", "  he\tllo\n\n<end_of_turn> <b> é é 12345 ▁▁ \u{1f989}\u0000 don't", ""];

function judgeTokenizer({ json, config }: TokenizerCase): Verdict {
  let tokenizer: ReturnType<typeof parseTokenizer>;
  try {
    tokenizer = parseTokenizer(
      parseStrictJson(json, "tokenizer.json"),
      config === null ? undefined : parseStrictJson(config, "tokenizer_config.json"),
    );
  } catch (error) {
    return refusedBy(error, [TokenizerError, CheckpointError], /tokenizer(_config)?\.json/);
  }
  for (const text of said) {
    const written = [
      tokenizer.encode(text),
      tokenizer.encodeStart(text),
      tokenizer.encodeTemplate(text),
      tokenizer.encodeFurther(text),
    ];
    for (const ids of written) {
      mustBe(
        ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize),
        `${JSON.stringify(text)} becomes ${ids}`,
      );
      mustEqual(tokenizer.decode(ids), tokenizer.decode(ids), "it is not read twice alike");
    }
    // But for the unknown token, which says nothing.
    mustBe(
      written[0].every(
        (id) => !tokenizer.controlIds.has(id) || tokenizer.idOf("<unk>") === id || isUnknown(json, tokenizer, id),
      ),
      "a text was given control tokens",
    );
  }
  for (const piece of Object.keys((JSON.parse(json) as { model: { vocab: object } }).model.vocab)) {
    const id = tokenizer.idOf(piece);
    if (id === undefined) throw new Error(`accepted, but ${JSON.stringify(piece)} has no id`);
    tokenizer.pieceBytes(id); // throws for what is no id
  }
  return "accepted";
}

function isUnknown(json: string, tokenizer: ReturnType<typeof parseTokenizer>, id: number): boolean {
  const { model } = JSON.parse(json) as { model: { unk_token?: string | { content?: string } } };
  const text = typeof model.unk_token === "object" ? model.unk_token?.content : model.unk_token;
  return text !== undefined && tokenizer.idOf(text) === id;
}

// -- state files

const layout = stateLayout(parseHfConfig({ ...smallHfConfig, attention_window_size: 4 }), "f16");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const digest = async (bytes: Uint8Array) => sha256(bytes);
const sign = async (bytes: Uint8Array) => new Uint8Array(createHmac("sha256", "key").update(bytes).digest());

type Sections = Parameters<typeof writeStateFile>[1];
const soundSections: Sections = [
  ["state", new Uint8Array(layout.bytes).map((_, at) => (at % 2 === 0 ? at & 0x3f : 0x3c))],
  ["log", toBytes([2, 3, 4, 5, 6])],
  ["items", new TextEncoder().encode('[{"role":"user","content":"Hi"}]')],
];
const soundHeader: Omit<StateHeader, "sections"> = {
  model: "small",
  digest: "d".repeat(64),
  tenant: "default",
  position: 5,
  replyTokens: 2,
  profile: "f16",
  instructions: null,
  system: "",
};

async function soundState(): Promise<Uint8Array> {
  return new Uint8Array(Buffer.concat(await writeStateFile(soundHeader, soundSections, digest, sign)));
}

/** Bytes that are changed after they were signed, and headers that are changed before: whoever exports may lie. */
function stateFiles(sound: Uint8Array): fc.Arbitrary<Uint8Array> {
  const length = new DataView(sound.buffer).getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(sound.subarray(16, 16 + length))) as unknown;
  const body = sound.subarray(16 + length + 32);
  const signed = fc
    .tuple(textOf(changedJson([header])), fc.oneof(fc.constant(body), changedBytes([body])))
    .map(([json, rest]) => resigned(json, rest));
  const changedState = fc
    .array(fc.tuple(fc.nat(layout.bytes - 1), fc.oneof(fc.nat(255), fc.constantFrom(0x7c, 0x7f, 0x80, 0xff))), {
      maxLength: 4,
    })
    .map((edits) => {
      const state = soundSections[0][1].slice();
      for (const [at, byte] of edits) state[at] = byte;
      const listed = (header as StateHeader).sections.map((one) =>
        one.name === "state" ? { ...one, sha256: sha256(state) } : one,
      );
      return resigned(
        JSON.stringify({ ...(header as StateHeader), sections: listed }),
        Buffer.concat([state, body.subarray(state.length)]),
      );
    });
  const otherSections = fc
    .tuple(fc.array(section, { maxLength: 4 }), fc.integer({ min: -1, max: 7 }), fc.nat(7))
    .map(([sections, position, replyTokens]) => {
      const listed = sections.map(({ name, bytes }) => ({ name, bytes: bytes.length, sha256: sha256(bytes) }));
      const json = JSON.stringify({ ...(header as StateHeader), position, replyTokens, sections: listed });
      return resigned(json, Buffer.concat(sections.map(({ bytes }) => bytes)));
    });
  const usual = fc.oneof(signed, changedState, otherSections, changedBytes([sound]), fc.uint8Array({ maxLength: 100 }));
  return sized(usual, largeStateFiles(header as StateHeader), 1);
}

/** With a log and messages of about as many bytes as there may be. */
function largeStateFiles(header: StateHeader): fc.Arbitrary<Uint8Array> {
  return fc
    .record({
      log: nearby(MAX_NODE_TOKENS - 1),
      items: nearby(MAX_ITEMS_BYTES),
      replyTokens: fc.nat(9),
      cut: fc.nat(30),
    })
    .map(({ log, items, replyTokens, cut }) => {
      const sections = [
        { name: "state" as const, bytes: soundSections[0][1] },
        { name: "log" as const, bytes: new Uint8Array(4 * log) },
        { name: "items" as const, bytes: new Uint8Array(items) },
      ];
      const listed = sections.map(({ name, bytes }) => ({ name, bytes: bytes.length, sha256: sha256(bytes) }));
      const json = JSON.stringify({ ...header, position: log, replyTokens, sections: listed });
      const file = resigned(json, Buffer.concat(sections.map(({ bytes }) => bytes)));
      return cut === 0 ? file.subarray(0, file.length - 1) : file;
    });
}

/** Any of the three, of a right or a wrong length, with its own hash. */
const section = fc.oneof(
  fc.constantFrom(0, 0, 0, 0, -4, 4).map((more) => ({ name: "state", bytes: new Uint8Array(layout.bytes + more) })),
  fc.nat(8).map((ids) => ({ name: "log", bytes: new Uint8Array(4 * ids) })),
  fc.nat(9).map((length) => ({ name: "items", bytes: new Uint8Array(length) })),
);

/** As a deployment with the key "key" would sign it. */
export function resigned(json: string, body: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(json);
  const head = new Uint8Array(16 + text.length);
  head.set(new TextEncoder().encode("AERIEST\0"));
  new DataView(head.buffer).setUint32(8, 1, true);
  new DataView(head.buffer).setUint32(12, text.length, true);
  head.set(text, 16);
  return new Uint8Array(Buffer.concat([head, createHmac("sha256", "key").update(head).digest(), body]));
}

async function judgeState(bytes: Uint8Array, measured: Measured): Promise<Verdict> {
  const found = await measured(() => readBack(bytes)).catch((error: unknown) =>
    refusedBy(error, [RefusedError], /^state file: /),
  );
  if (found === "refused") return found;
  const { sections: _, ...header } = found.header;
  const { state, log } = found.sections;
  mustBe(state?.length === layout.bytes, `its state has ${state?.length} bytes`);
  mustBe(!log || log.length === 4 * header.position, `its log has ${log?.length} bytes`);
  mustBe(header.replyTokens <= header.position, "its reply is longer than everything");
  const view = new DataView((state as Uint8Array).slice().buffer);
  for (let at = 0; at < layout.recurrentBytes; at += 4)
    mustBe(Number.isFinite(view.getFloat32(at, true)), `byte ${at} begins no number`);
  for (let at = layout.recurrentBytes; at < layout.bytes; at += 2)
    mustBe((view.getUint16(at, true) & 0x7c00) !== 0x7c00, `byte ${at} begins no number`);
  const listed = found.header.sections.map(({ name }) => [name, found.sections[name] as Uint8Array] as const);
  const again = await readBack(new Uint8Array(Buffer.concat(await writeStateFile(header, listed, digest, sign))));
  mustEqual(again.header, found.header, "its header is not written as it was read");
  for (const [name, section] of listed)
    mustBe(
      Buffer.compare(section, again.sections[name] as Uint8Array) === 0,
      `its section ${name} is not written as it was read`,
    );
  return "accepted";
}

function readBack(bytes: Uint8Array) {
  const file = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  return readStateFile(file, { tenant: "default", sign, digest, layoutOf: async () => layout });
}

// -- AERIE_MODELS

const models = [
  { id: "small", source: "assets", path: "models/small", default: true },
  { id: "my.model:1", source: "r2", path: "a-b/c_d" },
];

function judgeModels(text: string): Verdict {
  let entries: ReturnType<typeof parseCatalogue>;
  try {
    entries = parseCatalogue(text);
  } catch (error) {
    return refusedBy(error, [AerieError], /^AERIE_MODELS: /);
  }
  mustBe(entries.filter(({ isDefault }) => isDefault).length === 1, "not exactly one model is the default");
  mustBe(new Set(entries.map(({ id }) => id)).size === entries.length, "an id is there twice");
  mustBe(
    entries.every(({ path }) => !/(^|\/)\.|\/\/|^\/|\\/.test(path)),
    "a path leaves its folder",
  );
  const again = entries.map(({ id, source, path, isDefault }) => ({ id, source, path, default: isDefault }));
  mustEqual(parseCatalogue(JSON.stringify(again)), entries, "it is not read back");
  return "accepted";
}
