/** Reads tokenizer.json and tokenizer_config.json, which may be anything, into tables that the encoder can trust. */

import { TokenizerError } from "../errors.ts";
import { byteIdsOf } from "./bpe.ts";
import { MergeTable } from "./merge-table.ts";
import { type PieceSpelling, parseDecoder } from "./piece-bytes.ts";
import { type PreTokenizer, parsePreTokenizer } from "./pre-tokenize.ts";
import type { AddedToken } from "./token-trie.ts";

/** Above the largest vocabularies in use (about a million); the tables below are as long as the highest id. */
const MAX_ID = 2 ** 20;
/** Ranks of merges must fit the encoder's keys. */
const MAX_MERGES = 2 ** 22;
/** An added token is tried at every position of a text, so its length is a factor of the encoder's time. */
const MAX_ADDED_LENGTH = 256;

/** Gemma's turn markers steer the model even in files that list them as ordinary pieces only. */
const TURN_MARKERS = ["<start_of_turn>", "<end_of_turn>"];

export interface TokenizerTables {
  /** Every piece, added tokens included. */
  readonly ids: ReadonlyMap<string, number>;
  /** By id; holes are legal. */
  readonly pieces: readonly (string | undefined)[];
  readonly added: readonly AddedToken[];
  readonly merges: MergeTable;
  readonly spelling: PieceSpelling;
  readonly preTokenizer: PreTokenizer;
  readonly hasByteFallback: boolean;
  readonly unknownId: number | undefined;
  readonly fusesUnknown: boolean;
  readonly prefersWholeWords: boolean;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** A text starts with `bosId`. */
  readonly startsWithBos: boolean;
}

type Json = Record<string, unknown>;

/** Throws a `TokenizerError` that names the field and what is wrong with it. */
export function parseTokenizerJson(tokenizerJson: unknown, tokenizerConfigJson: unknown): TokenizerTables {
  const file = objectField(tokenizerJson, "tokenizer.json");
  const config = tokenizerConfigJson === undefined ? {} : objectField(tokenizerConfigJson, "tokenizer_config.json");
  const model = objectField(file.model, "tokenizer.json: model");
  checkModel(model);

  const ids = new Map<string, number>();
  const pieces: (string | undefined)[] = [];
  readVocabulary(model.vocab, ids, pieces);
  const added = readAddedTokens(file, config, ids, pieces);
  const unspellable = new Set(added.filter((token) => token.isControl).map((token) => token.id));
  return {
    ids,
    pieces,
    added,
    merges: readMerges(model.merges, ids, unspellable, new Set(symbolIds(model, ids))),
    spelling: parseDecoder(file.decoder),
    preTokenizer: parsePreTokenizer(file.normalizer, file.pre_tokenizer),
    hasByteFallback: model.byte_fallback === true,
    unknownId: namedId(model.unk_token, "tokenizer.json: model.unk_token", ids),
    fusesUnknown: model.fuse_unk === true,
    prefersWholeWords: model.ignore_merges === true,
    bosId: boundaryId("bos_token", config, added, ids),
    eosId: boundaryId("eos_token", config, added, ids),
    padId: boundaryId("pad_token", config, added, ids),
    startsWithBos: startsWithBos(config, file.post_processor),
  };
}

function checkModel(model: Json): void {
  const type = model.type;
  if (type !== "BPE" && !(type === undefined && Array.isArray(model.merges))) {
    throw new TokenizerError(
      `tokenizer.json: model.type is ${type === undefined ? "missing" : quote(type)}; Aerie reads BPE`,
    );
  }
  for (const affix of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[affix] !== undefined && model[affix] !== null && model[affix] !== "") {
      throw new TokenizerError(`tokenizer.json: model.${affix} is not supported`);
    }
  }
  if (typeof model.dropout === "number" && model.dropout > 0) {
    throw new TokenizerError("tokenizer.json: model.dropout makes encoding random; it must be null");
  }
}

function readVocabulary(vocab: unknown, ids: Map<string, number>, pieces: (string | undefined)[]): void {
  for (const [piece, id] of Object.entries(objectField(vocab, "tokenizer.json: model.vocab"))) {
    define(piece, id, ids, pieces);
  }
  if (ids.size === 0) throw new TokenizerError("tokenizer.json: model.vocab is empty");
}

function define(piece: string, id: unknown, ids: Map<string, number>, pieces: (string | undefined)[]): number {
  if (!isId(id)) {
    throw new TokenizerError(
      `tokenizer.json: ${quote(piece)} has the id ${quote(id)}; ids are integers from 0 to ${MAX_ID - 1}`,
    );
  }
  const known = ids.get(piece);
  if (known !== undefined && known !== id) {
    throw new TokenizerError(`tokenizer.json: ${quote(piece)} has two ids, ${known} and ${id}`);
  }
  if (pieces[id] !== undefined && pieces[id] !== piece) {
    throw new TokenizerError(`tokenizer.json: the id ${id} belongs to ${quote(pieces[id])} and to ${quote(piece)}`);
  }
  while (pieces.length < id) pieces.push(undefined); // a dense array, whatever the order of the ids
  pieces[id] = piece;
  ids.set(piece, id);
  return id;
}

/** tokenizer.json's own, then what only the config adds or calls special, then the markers no file should leave out. */
function readAddedTokens(
  file: Json,
  config: Json,
  ids: Map<string, number>,
  pieces: (string | undefined)[],
): AddedToken[] {
  const added = new Map<string, AddedToken>();
  const add = (entry: unknown, id: unknown, where: string) => {
    const token = objectField(entry, where);
    const content = token.content;
    if (typeof content !== "string" || content === "" || content.length > MAX_ADDED_LENGTH) {
      throw new TokenizerError(`${where}: content must be a string of 1 to ${MAX_ADDED_LENGTH} characters`);
    }
    const before = added.get(content);
    const isControl = token.special === true || before?.isControl === true;
    if (token.single_word === true && !isControl) {
      throw new TokenizerError(`${where}: single_word is not supported for ${quote(content)}`);
    }
    added.set(content, {
      id: define(content, id, ids, pieces),
      content,
      isControl,
      isNormalized: (token.normalized ?? !isControl) === true,
      stripsLeft: token.lstrip === true,
      stripsRight: token.rstrip === true,
    });
  };

  const listed = file.added_tokens ?? [];
  if (!Array.isArray(listed)) throw new TokenizerError("tokenizer.json: added_tokens must be a list");
  for (const [index, entry] of listed.entries()) {
    const where = `tokenizer.json: added_tokens[${index}]`;
    add(entry, objectField(entry, where).id, where);
  }
  const decoder = config.added_tokens_decoder;
  if (decoder !== undefined && decoder !== null) {
    const where = "tokenizer_config.json: added_tokens_decoder";
    for (const [id, entry] of Object.entries(objectField(decoder, where)))
      add(entry, Number(id), `${where}[${quote(id)}]`);
  }
  for (const content of [...namedControls(config), ...TURN_MARKERS]) {
    const id = ids.get(content);
    if (id === undefined) continue;
    const known = added.get(content);
    if (known === undefined) added.set(content, plainControl(content, id));
    else if (!known.isControl) added.set(content, { ...known, isControl: true });
  }
  return [...added.values()];
}

function plainControl(content: string, id: number): AddedToken {
  return { id, content, isControl: true, isNormalized: false, stripsLeft: false, stripsRight: false };
}

/** Texts that the config names as special: `bos_token`, …, and its list of further ones. */
function namedControls(config: Json): string[] {
  const more = config.additional_special_tokens;
  return [
    ...["bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token"].map((name) =>
      tokenText(config[name]),
    ),
    ...(Array.isArray(more) ? more.map(tokenText) : []),
  ].filter((text) => text !== undefined);
}

/** A config writes a token as its text or as `{ content, … }`. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = typeof token === "object" && token !== null ? (token as Json).content : undefined;
  return typeof content === "string" ? content : undefined;
}

/** Pieces that stand in a word without being spelled by its characters: bytes, and the unknown token. */
function symbolIds(model: Json, ids: ReadonlyMap<string, number>): number[] {
  const bytes = model.byte_fallback === true ? (byteIdsOf((piece) => ids.get(piece)) ?? []) : [];
  const unknown = namedId(model.unk_token, "tokenizer.json: model.unk_token", ids);
  return [...bytes, unknown].filter((id) => id !== undefined);
}

/** Merges that would make a control token out of text are left out. */
function readMerges(
  merges: unknown,
  ids: ReadonlyMap<string, number>,
  unspellable: ReadonlySet<number>,
  symbols: ReadonlySet<number>,
): MergeTable {
  if (!Array.isArray(merges)) throw new TokenizerError("tokenizer.json: model.merges must be a list");
  if (merges.length > MAX_MERGES) {
    throw new TokenizerError(
      `tokenizer.json: model.merges has ${merges.length} entries; at most ${MAX_MERGES} are supported`,
    );
  }
  const table = new MergeTable(merges.length);
  for (let rank = 0; rank < merges.length; rank++) {
    const [left, right] = mergePair(merges[rank], rank);
    const leftId = ids.get(left);
    const rightId = ids.get(right);
    const mergedId = ids.get(left + right);
    if (leftId === undefined || rightId === undefined || mergedId === undefined) {
      throw new TokenizerError(
        `tokenizer.json: model.merges[${rank}] joins ${quote(left)} and ${quote(right)}, but not all of it is in the vocabulary`,
      );
    }
    if (unspellable.has(mergedId)) table.skip();
    else table.push(leftId, rightId, mergedId);
    if (symbols.has(leftId) || symbols.has(rightId)) table.joinAnything();
    const before = ids.get(lastCharacter(left));
    const after = ids.get(firstCharacter(right));
    // A character without a piece of its own never stands in a word.
    if (before !== undefined && after !== undefined) table.addSeam(before, after);
  }
  return table;
}

const firstCharacter = (piece: string): string => String.fromCodePoint(piece.codePointAt(0)!);
const lastCharacter = (piece: string): string => {
  const pair = piece.codePointAt(piece.length - 2) ?? 0;
  return pair > 0xffff ? String.fromCodePoint(pair) : piece.charAt(piece.length - 1);
};

/** `"a b"` in older files, `["a", "b"]` in newer ones. */
function mergePair(merge: unknown, rank: number): [string, string] {
  if (typeof merge === "string") {
    const space = merge.indexOf(" ");
    if (space > 0 && space < merge.length - 1 && !merge.includes(" ", space + 1)) {
      return [merge.slice(0, space), merge.slice(space + 1)];
    }
  } else if (Array.isArray(merge) && merge.length === 2) {
    const [left, right] = merge as unknown[];
    if (typeof left === "string" && typeof right === "string" && left !== "" && right !== "") return [left, right];
  }
  throw new TokenizerError(`tokenizer.json: model.merges[${rank}] must be two pieces`);
}

/** Names that mean begin, end and padding where no config says so. */
const USUAL_NAMES: Record<string, readonly string[]> = {
  bos_token: ["<bos>", "<s>", "<|begin_of_text|>"],
  eos_token: ["<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>"],
  pad_token: ["<pad>"],
};

/** The id of `bos_token` and its like: what the config says, else a control token with a usual name. */
function boundaryId(
  name: string,
  config: Json,
  added: readonly AddedToken[],
  ids: ReadonlyMap<string, number>,
): number | undefined {
  if (config[name] !== undefined) return namedId(config[name], `tokenizer_config.json: ${name}`, ids);
  const controls = new Map(added.filter((token) => token.isControl).map((token) => [token.content, token.id]));
  return USUAL_NAMES[name]!.map((usual) => controls.get(usual)).find((id) => id !== undefined);
}

function namedId(token: unknown, where: string, ids: ReadonlyMap<string, number>): number | undefined {
  if (token === undefined || token === null) return undefined;
  const text = tokenText(token);
  const id = text === undefined ? undefined : ids.get(text);
  if (id === undefined) throw new TokenizerError(`${where} is ${quote(token)}, which is not in the vocabulary`);
  return id;
}

/** `add_bos_token` where the config has it, else whether the post-processor puts a special token first. */
function startsWithBos(config: Json, postProcessor: unknown): boolean {
  if (typeof config.add_bos_token === "boolean") return config.add_bos_token;
  if (typeof postProcessor !== "object" || postProcessor === null) return false;
  const { type, single, processors } = postProcessor as Json;
  if (type === "Sequence" && Array.isArray(processors)) {
    return processors.some((inner) => (inner as Json | null)?.type !== "Sequence" && startsWithBos({}, inner));
  }
  const first: unknown = Array.isArray(single) ? single[0] : undefined;
  return type === "TemplateProcessing" && typeof first === "object" && first !== null && "SpecialToken" in first;
}

function isId(id: unknown): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id < MAX_ID;
}

function objectField(value: unknown, where: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TokenizerError(`${where} must be an object`);
  }
  return value as Json;
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
