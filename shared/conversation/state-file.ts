/** Reads and writes state files (FORMAT.md). A file that is read may hold anything. */

import { z } from "zod";
import type { StateLayout, StateRegion } from "../model/state-layout.ts";
import type { Digest } from "./checkpoints.ts";
import { RefusedError } from "./refusal.ts";
import { MAX_NODE_TOKENS } from "./token-log.ts";

/** HMAC-SHA-256 of some bytes, 32 bytes. */
export type Sign = (bytes: Uint8Array) => Promise<Uint8Array>;

const MAGIC = new TextEncoder().encode("AERIEST\0");
const VERSION = 1;
const PREFIX_BYTES = 16;
const MAC_BYTES = 32;
const MAX_HEADER_BYTES = 65_536;
/** JSON of the messages; a row has room for it. */
export const MAX_ITEMS_BYTES = 1_500_000;

const text = z.string().max(MAX_HEADER_BYTES);
const headerSchema = z.strictObject({
  model: z.string().max(200),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  tenant: z.string().max(100),
  position: z.int().min(1),
  replyTokens: z.int().min(0),
  profile: z.string().max(20),
  instructions: text.nullable(),
  system: text,
  sections: z
    .array(
      z.strictObject({
        name: z.enum(["state", "log", "items"]),
        bytes: z.int().min(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1)
    .max(3),
});

export type StateHeader = z.infer<typeof headerSchema>;
type SectionName = StateHeader["sections"][number]["name"];
export type Sections = Partial<Record<SectionName, Uint8Array>>;

/** The file's pieces in order. */
export async function writeStateFile(
  header: Omit<StateHeader, "sections">,
  sections: readonly (readonly [SectionName, Uint8Array])[],
  digest: Digest,
  sign: Sign,
): Promise<Uint8Array[]> {
  const listed = await Promise.all(
    sections.map(async ([name, bytes]) => ({ name, bytes: bytes.length, sha256: await digest(bytes) })),
  );
  const json = new TextEncoder().encode(JSON.stringify({ ...header, sections: listed }));
  if (json.length > MAX_HEADER_BYTES)
    throw new RefusedError(
      409,
      "state_header",
      `state: the instructions take a header of ${json.length} bytes, a state file has room for ${MAX_HEADER_BYTES}`,
    );
  const head = new Uint8Array(PREFIX_BYTES + json.length);
  head.set(MAGIC);
  const view = new DataView(head.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, json.length, true);
  head.set(json, PREFIX_BYTES);
  return [head, await sign(head), ...sections.map(([, bytes]) => bytes)];
}

export interface StateFileExpectations {
  readonly tenant: string;
  readonly sign: Sign;
  readonly digest: Digest;
  /** The layout of the header's model on this host; refuses if it is not the same model. */
  layoutOf(header: StateHeader): Promise<StateLayout>;
  /** Makes room for the sections, whose sizes are sound; refuses where there is none. */
  makeRoom?(sizes: Readonly<Record<SectionName, number>>): void;
}

/** Refuses with status 400 and what was expected and found; nothing is allocated that the config does not call for. */
export async function readStateFile(
  file: ReadableStream<Uint8Array>,
  expected: StateFileExpectations,
): Promise<{ header: StateHeader; sections: Sections; layout: StateLayout }> {
  const reader = new ExactReader(file);
  try {
    const head = await reader.read(PREFIX_BYTES, "the first bytes");
    if (MAGIC.some((byte, at) => head[at] !== byte)) throw refuse("expected a state file of Aerie, found other bytes");
    const view = new DataView(head.buffer);
    const version = view.getUint32(8, true);
    if (version !== VERSION) throw refuse(`expected version ${VERSION}, found ${version}`);
    const length = view.getUint32(12, true);
    if (length > MAX_HEADER_BYTES)
      throw refuse(`expected a header of at most ${MAX_HEADER_BYTES} bytes, found ${length}`);
    const json = await reader.read(length, "the header");
    const mac = await reader.read(MAC_BYTES, "the MAC");
    const signed = new Uint8Array(PREFIX_BYTES + length);
    signed.set(head);
    signed.set(json, PREFIX_BYTES);
    if (!isEqual(mac, await expected.sign(signed)))
      throw refuse("its MAC is not this deployment's: only states that were exported here can be imported");
    const header = parseHeader(json);
    if (header.tenant !== expected.tenant) throw refuse("it was exported by another tenant");
    const layout = await expected.layoutOf(header);
    const sizes = checkSections(header, layout);
    expected.makeRoom?.(sizes);
    const sections: Sections = {};
    for (const { name, bytes, sha256 } of header.sections) {
      const section = await reader.read(bytes, `the section ${name}`);
      if ((await expected.digest(section)) !== sha256)
        throw refuse(`the section ${name} was changed: its sha256 differs`);
      sections[name] = section;
    }
    await reader.expectEnd();
    checkFinite(layout, sections.state as Uint8Array);
    return { header, sections, layout };
  } finally {
    reader.cancel();
  }
}

function parseHeader(json: Uint8Array): StateHeader {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(json));
  } catch {
    throw refuse("its header is not JSON");
  }
  const parsed = headerSchema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw refuse(`its header: ${path.join(".") || "the whole of it"}: ${message}`);
  }
  return parsed.data;
}

/** Their sizes in bytes; 0 for one that is missing. */
function checkSections(
  { sections, position, replyTokens }: StateHeader,
  layout: StateLayout,
): Readonly<Record<SectionName, number>> {
  const sizes = new Map(sections.map(({ name, bytes }) => [name, bytes]));
  if (sizes.size !== sections.length) throw refuse("it has a section twice");
  const limits: [SectionName, boolean, string][] = [
    ["state", sizes.get("state") === layout.bytes, `${layout.bytes} bytes`],
    [
      "log",
      !sizes.has("log") || (sizes.get("log") === 4 * position && position < MAX_NODE_TOKENS),
      "4 bytes per token",
    ],
    ["items", (sizes.get("items") ?? 0) <= MAX_ITEMS_BYTES, `at most ${MAX_ITEMS_BYTES} bytes`],
  ];
  for (const [name, isRight, want] of limits)
    if (!isRight)
      throw refuse(`expected the section ${name} to have ${want}, found ${sizes.get(name) ?? "no such section"}`);
  if (replyTokens > position) throw refuse(`expected a reply of at most ${position} tokens, found ${replyTokens}`);
  return { state: layout.bytes, log: sizes.get("log") ?? 0, items: sizes.get("items") ?? 0 };
}

/** A single NaN would silence the conversation for ever. */
function checkFinite({ blocks }: StateLayout, state: Uint8Array): void {
  const regions: StateRegion[] = blocks.flatMap((block) =>
    block.kind === "rg-lru"
      ? [block.h, block.conv]
      : [block.keys, block.values].flatMap(({ rows, scales }) => (scales ? [rows, scales] : [rows])),
  );
  const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
  for (const { dtype, offsetBytes, bytes } of regions) {
    if (dtype === "i8") continue;
    for (let at = offsetBytes; at < offsetBytes + bytes; at += dtype === "f32" ? 4 : 2) {
      const isBad =
        dtype === "f32"
          ? (view.getUint32(at, true) & 0x7f800000) === 0x7f800000
          : (view.getUint16(at, true) & 0x7c00) === 0x7c00;
      if (isBad) throw refuse(`the number at byte ${at} of the state is not finite`);
    }
  }
}

/** Exactly as many bytes as are asked for, out of a stream of pieces of any size. */
class ExactReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #left: Uint8Array = new Uint8Array();

  constructor(file: ReadableStream<Uint8Array>) {
    this.#reader = file.getReader();
  }

  async read(bytes: number, what: string): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(bytes);
    for (let at = 0; at < bytes; ) {
      if (this.#left.length === 0) {
        const next = await this.#reader.read();
        if (next.done) throw refuse(`expected ${bytes} bytes of ${what}, the file ends after ${at}`);
        this.#left = next.value;
      }
      const piece = this.#left.subarray(0, bytes - at);
      all.set(piece, at);
      at += piece.length;
      this.#left = this.#left.subarray(piece.length);
    }
    return all;
  }

  async expectEnd(): Promise<void> {
    const next = this.#left.length > 0 ? null : await this.#reader.read();
    if (!next?.done) throw refuse("expected the end of the file behind its last section, found more");
  }

  /** Not waited for: the sender may take its time. */
  cancel(): void {
    void this.#reader.cancel().catch(() => undefined);
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < a.length; at++) difference |= a[at] ^ b[at];
  return difference === 0;
}

function refuse(found: string): RefusedError {
  return new RefusedError(400, "invalid_state_file", `state file: ${found}`);
}
