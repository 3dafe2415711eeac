/** JSON that means one thing only: no key twice, no depth that a parser chokes on. */

import { visit } from "jsonc-parser";
import { CheckpointError } from "../errors.ts";

// A safetensors header is 2 deep, a config 3, a tokenizer 5. The visitor below recurses.
const MAX_DEPTH = 64;

/** Parses or throws a `CheckpointError` that names `source`. `JSON.parse` alone silently keeps the last of two equal keys. */
export function parseStrictJson(text: string, source: string): unknown {
  let value: unknown;
  try {
    checkDepth(text, source);
    value = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError("json", `${source} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  const keysOfOpenObjects: Set<string>[] = [];
  visit(text, {
    onObjectBegin: () => {
      keysOfOpenObjects.push(new Set());
    },
    onObjectProperty: (key) => {
      const keys = keysOfOpenObjects[keysOfOpenObjects.length - 1];
      if (keys.has(key))
        throw new CheckpointError("json", `${source} has the key ${JSON.stringify(key)} twice in one object`, {
          tensor: key,
        });
      keys.add(key);
    },
    onObjectEnd: () => {
      keysOfOpenObjects.pop();
    },
  });
  return value;
}

function checkDepth(text: string, source: string): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (inString) {
      if (char === 0x5c /* \ */) at++;
      else if (char === 0x22 /* " */) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x7b /* { */ || char === 0x5b /* [ */) {
      if (++depth > MAX_DEPTH) throw new CheckpointError("json", `${source} nests deeper than ${MAX_DEPTH} levels`);
    } else if (char === 0x7d || char === 0x5d) depth--;
  }
}
