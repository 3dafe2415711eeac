/** A conversation's state out of the database into a file, and back. */

import { createState, prefill, restoreState, type SavedState, saveState } from "../engine.ts";
import { collectSoon, NO_BASIS, prepareCheckpoint, writeCheckpoint } from "./checkpoints.ts";
import type { ConversationHost } from "./conversation.ts";
import { ensureMeta } from "./meta.ts";
import { type Admission, type LoadedModel, turnNeeds } from "./model-source.ts";
import {
  findNode,
  insertNode,
  isFinished,
  logEnd,
  type Node,
  type NodeLog,
  nextNodeId,
  type StoredRequest,
} from "./nodes.ts";
import { sentSteadily, takenSteadily } from "./patience.ts";
import { allItems } from "./plan.ts";
import { RefusedError } from "./refusal.ts";
import { logBetween, logBytes, nearestState } from "./replay.ts";
import { plainSampling } from "./sampling-record.ts";
import type { Sql } from "./sql.ts";
import { MAX_ITEMS_BYTES, readStateFile, type Sections, type StateHeader, writeStateFile } from "./state-file.ts";
import { appendBytes, MAX_NODE_TOKENS } from "./token-log.ts";
import { discardTrapped } from "./traps.ts";
import type { InputItem } from "./types.ts";

/** Messages as bytes, as a text, as values with texts of their own, as the row's JSON: two bytes a character, for a few of them. */
const ITEM_FORMS = 8;

type Host = Pick<ConversationHost, "sql" | "models" | "digest" | "sign" | "tenant" | "now" | "segmentTokens">;

export async function exportState(host: Host, head: number | null): Promise<ReadableStream<Uint8Array>> {
  const node = withState(host.sql, head);
  const loaded = await host.models.load(node.request.model);
  const { log } = node;
  if (log.digest !== loaded.digest)
    throw new RefusedError(409, "no_state", "state: the model was replaced since the last response: ask for one first");
  const said = allItems(host.sql, node, MAX_ITEMS_BYTES);
  const items = said && new TextEncoder().encode(JSON.stringify(said));
  const end = logEnd(log);
  const logIds = end < MAX_NODE_TOKENS ? end : 0;
  // What rebuilding the state takes, and the rest of the file: held until the last byte was taken.
  const admission = host.models.admit(loaded, { ...turnNeeds(1), bytes: 4 * logIds + (items?.length ?? 0) });
  let pieces: Uint8Array[];
  try {
    const saved = await stateAt(host, loaded, admission, node, end);
    withState(host.sql, head);
    const ids = logBytes(host.sql, node.id, 0, logIds);
    const isWhole = ids.found === end; // not where the log itself came without its beginning
    pieces = await writeStateFile(
      {
        model: loaded.id,
        digest: loaded.digest,
        tenant: host.tenant,
        position: end,
        replyTokens: (log.kept ?? 0) + log.tail.length,
        profile: ringOf(loaded),
        instructions: node.instructions,
        system: node.system,
      },
      [
        ["state", saved.bytes],
        ...(isWhole ? [["log", ids.bytes] as const] : []),
        ...(items && items.length <= MAX_ITEMS_BYTES ? [["items", items] as const] : []),
      ],
      host.digest,
      host.sign,
    );
  } catch (error) {
    admission.release();
    throw error;
  }
  return takenSteadily(
    pieces,
    () => host.now(),
    () => admission.release(),
  );
}

/** Refuses where there is none; asked again behind every wait, in which something that the state knows may have been deleted. */
function withState(sql: Sql, head: number | null): Node & { readonly log: NodeLog; readonly request: StoredRequest } {
  const node = head === null ? null : findNode(sql, head);
  if (!node || !isFinished(node) || !node.log || node.log.isCut || !node.request)
    throw new RefusedError(
      409,
      "no_state",
      "state: the conversation does not end with a response whose state is known: ask for one first",
    );
  return { ...node, log: node.log, request: node.request };
}

/**
 * The state at the end of a node's log: from its checkpoint, or by replay from the nearest one. A long replay is cut into
 * segments as a turn is; each call computes one and keeps it, so that whoever asks again gets there.
 */
async function stateAt(
  host: Host,
  loaded: LoadedModel,
  admission: Admission,
  node: Node,
  end: number,
): Promise<SavedState> {
  const { sql, digest } = host;
  const { model } = loaded;
  let saved = (await nearestState(sql, node.id, loaded, digest))?.saved;
  withState(sql, node.id);
  if (saved?.position === end) return saved;
  const state = saved ? restoreState(model, saved) : createState(model);
  saved = undefined; // one copy at a time
  try {
    const ids = logBetween(sql, node.id, state.position, Math.min(end, state.position + host.segmentTokens(loaded)));
    await prefill(model, state, ids, { onProgress: () => admission.yieldToEvents() });
    saved = await saveState(model, state);
  } catch (error) {
    discardTrapped(host.models, loaded, error);
    throw error;
  }
  // Parts of another checkpoint may be collected meanwhile: this one shares none.
  const prepared = await prepareCheckpoint(model.stateLayout, saved, NO_BASIS, digest);
  sql.transaction(() => {
    const log = findNode(sql, node.id)?.log; // something before it may have been deleted meanwhile
    if (!log || log.isCut || log.digest !== loaded.digest) return;
    writeCheckpoint(sql, node.id, loaded.digest, prepared);
    collectSoon(sql);
  });
  if (saved.position < end)
    throw new RefusedError(
      503,
      "state_rebuilding",
      `state: it was lost and is being rebuilt from the log, ${saved.position} of ${end} tokens are done: ask again`,
      { retryAfterSeconds: 1 },
    );
  return saved;
}

/** Writes the file's state as a new root. `place` is told its node within the transaction that writes it: all or nothing. */
export async function importState<Placed>(
  host: Host,
  branch: number,
  file: ReadableStream<Uint8Array>,
  place: (node: number) => Placed,
): Promise<Placed> {
  let admission: Admission | null = null;
  try {
    return await importAdmitted(host, branch, file, place, (loaded, { log, items }) => {
      // The state and its parts, the log, the messages in every form that they pass through; before any of it is read.
      admission = host.models.admit(loaded, { states: 2, bytes: log + ITEM_FORMS * items });
    });
  } finally {
    (admission as Admission | null)?.release();
  }
}

async function importAdmitted<Placed>(
  host: Host,
  branch: number,
  file: ReadableStream<Uint8Array>,
  place: (node: number) => Placed,
  admit: (loaded: LoadedModel, sizes: Readonly<Record<"log" | "items", number>>) => void,
): Promise<Placed> {
  let loaded: LoadedModel | null = null;
  const steady = sentSteadily(file, () => host.now());
  const { header, sections, layout } = await readStateFile(steady, {
    tenant: host.tenant,
    sign: host.sign,
    digest: host.digest,
    async layoutOf({ model, digest, profile }) {
      loaded = await host.models.load(model);
      if (loaded.digest !== digest || ringOf(loaded) !== profile)
        throw new RefusedError(
          409,
          "state_model_mismatch",
          `state file: it belongs to another version of ${model} (${digest.slice(0, 12)}…, here ${loaded.digest.slice(0, 12)}…): ` +
            "create a conversation from its messages instead, and it is replayed",
        );
      return loaded.model.stateLayout;
    },
    makeRoom: (sizes) => admit(loaded as unknown as LoadedModel, sizes),
  });
  const { id: model, digest } = loaded as unknown as LoadedModel;
  const items = parseItems(sections);
  const ids = sections.log ?? null;
  checkIds(ids, loaded as unknown as LoadedModel);
  const saved = { position: header.position, bytes: sections.state as Uint8Array };
  const prepared = await prepareCheckpoint(layout, saved, NO_BASIS, host.digest);
  const now = Math.floor(host.now() / 1000);
  const { sql } = host;
  return sql.transaction(() => {
    const node = nextNodeId(sql);
    insertNode(sql, {
      ...rootOf(header, items, now),
      id: node,
      branch,
      request: importedRequest(model),
      log: logOf(header, digest),
    });
    const promptLength = header.position - header.replyTokens; // prompt and reply never share a row
    if (ids) appendBytes(sql, node, 0, ids.subarray(0, 4 * promptLength));
    if (ids) appendBytes(sql, node, promptLength, ids.subarray(4 * promptLength));
    writeCheckpoint(sql, node, digest, prepared, { pinned: ids === null });
    ensureMeta(sql, host.tenant, host.now());
    collectSoon(sql);
    return place(node);
  });
}

function rootOf(header: StateHeader, items: readonly InputItem[], now: number) {
  const last = items[items.length - 1];
  const isAnswered = last?.role === "assistant";
  return {
    parent: null,
    status: "completed" as const,
    createdAt: now,
    completedAt: now,
    instructions: header.instructions,
    system: header.system,
    input: isAnswered ? items.slice(0, -1) : items,
    output: isAnswered ? last.content : "",
    finish: "stop" as const,
  };
}

const logOf = ({ position, replyTokens }: StateHeader, digest: string): NodeLog => ({
  digest,
  logParent: null,
  start: 0,
  promptLength: position - replyTokens,
  kept: replyTokens,
  tail: [],
  isCut: false,
});

/** An imported response was asked for elsewhere; what is kept of its request is the model. */
const importedRequest = (model: string): StoredRequest => ({
  model,
  sampling: plainSampling,
  maxTokens: 1,
  stop: [],
  metadata: {},
  stored: true,
  background: false,
  whenUnread: "go on",
});

/** The MAC says that the file was made here, not that what made it was right. */
function parseItems({ items }: Sections): InputItem[] {
  if (!items) return [];
  let value: unknown = null;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(items));
  } catch {
    // refused below, as whatever else is no list
  }
  if (!Array.isArray(value) || !value.every(isItem))
    throw new RefusedError(
      400,
      "invalid_state_file",
      "state file: its section items is no list of messages, each with a role and a text and nothing else",
    );
  return value;
}

const roles: ReadonlySet<unknown> = new Set(["system", "user", "assistant"] satisfies InputItem["role"][]);

function isItem(value: unknown): value is InputItem {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 2) return false;
  const { role, content } = value as Partial<InputItem>;
  return roles.has(role) && typeof content === "string";
}

function checkIds(ids: Uint8Array | null, { model }: LoadedModel): void {
  if (!ids) return;
  const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
  for (let at = 0; at < ids.length; at += 4)
    if (view.getUint32(at, true) >= model.config.vocabSize)
      throw new RefusedError(
        400,
        "invalid_state_file",
        `state file: its log has the id ${view.getUint32(at, true)}, which the model does not`,
      );
}

function ringOf({ model }: LoadedModel): string {
  for (const block of model.stateLayout.blocks) if (block.kind === "local-attention") return block.keys.rows.dtype;
  return "none";
}
