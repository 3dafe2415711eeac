/** `node encode-most.ts "<"`: encodes as much text as one turn reads, nothing but these letters. For a process with a small heap. */

import { fileURLToPath } from "node:url";
import { openTextSide } from "../../cli/model-argument.ts";
import { MAX_ENCODED_BYTES } from "../../shared/conversation/plan.ts";

const letters = process.argv[2];
const { chat } = await openTextSide(fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url)));
const text = letters.repeat(MAX_ENCODED_BYTES / new TextEncoder().encode(letters).length);
const said = (content: string) => [{ role: "user", content }] as const;
const ids = chat?.followUp({ messages: said("Hi."), replyIds: [], next: said(text) });
console.log(`${ids?.length} ids`);
