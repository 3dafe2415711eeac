/** JSON that means one thing only: no key twice, no depth that a parser chokes on. */

import { CheckpointError } from "../errors.ts";

// A safetensors header is 2 deep, a config 3, a tokenizer 5.
const MAX_DEPTH = 64;

/** Parses or throws a `CheckpointError` that names `source`. `JSON.parse` alone silently keeps the last of two equal keys. */
export function parseStrictJson(text: string, source: string): unknown {
  try {
    checkStructure(text, source);
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError("json", `${source} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
}

/** An object that is open at some place of the text, or an array, whose `keys` are null. */
interface OpenValue {
  readonly keys: Set<string> | null;
  /** The newest one, which leads to the next open value. */
  key: string;
}

/** Goes by brackets and strings alone: what else may be wrong with the text is `JSON.parse`'s to say. */
function checkStructure(text: string, source: string): void {
  const open: OpenValue[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") {
      if (open.length === MAX_DEPTH)
        throw new CheckpointError("json", `${source} nests deeper than ${MAX_DEPTH} levels`);
      open.push({ keys: char === "{" ? new Set() : null, key: "" });
    } else if (char === "}" || char === "]") open.pop();
    else if (char === '"') {
      const end = closingQuote(text, at);
      if (isBeforeColon(text, end + 1)) addKey(open, JSON.parse(text.slice(at, end + 1)), source);
      at = end;
    }
  }
}

/** Where the string that begins at `start` ends; past the text if it does not. */
function closingQuote(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function isBeforeColon(text: string, start: number): boolean {
  let at = start;
  while (at < text.length && " \t\n\r".includes(text[at])) at++;
  return text[at] === ":";
}

function addKey(open: OpenValue[], key: string, source: string): void {
  const innermost = open.at(-1);
  if (!innermost?.keys) return; // not JSON
  innermost.key = key;
  if (innermost.keys.has(key)) {
    const path = open.filter(({ keys }) => keys).map((value) => value.key);
    throw new CheckpointError("json", `${source} has the key ${quoted(path.join("."))} twice in one object`);
  }
  innermost.keys.add(key);
}

const MAX_SHOWN = 200; // characters; honest names have fewer

/** What a file holds, for a sentence: it may be megabytes of line breaks. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);

/** A tensor's name, for a sentence: quoted unless it is as plain as honest ones are. */
export const shown = (name: string): string =>
  /^[\w.-]+$/.test(name) && name.length <= MAX_SHOWN ? name : quoted(name);

/** A schema would make an issue of every value that is not a string, with hundreds of bytes each. */
export const isStringMap = (value: unknown): value is Record<string, string> =>
  value !== null &&
  typeof value === "object" &&
  !Array.isArray(value) &&
  Object.values(value).every((each) => typeof each === "string");
