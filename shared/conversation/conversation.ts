/**
 * The core of a conversation: everything that its object answers to, on a database, a source of models and a clock that
 * the host hands in. All that matters is in the database: an instance may vanish at any instant, and the next one goes on.
 */

import { BranchOperations } from "./branches.ts";
import { collectCheckpoints } from "./checkpoints.ts";
import { eraseNodes } from "./erase.ts";
import { exportRecords } from "./export-records.ts";
import { changeMeta, ensureMeta, type Meta, readMeta } from "./meta.ts";
import { type LoadedModel, ModelError } from "./model-source.ts";
import { findNode, insertNode, type Node, nextNodeId, type StoredRequest, toRecord } from "./nodes.ts";
import { planTurn, type TurnPlan } from "./plan.ts";
import { noParent } from "./port-call.ts";
import { eventStream, finishedRecord } from "./readers.ts";
import { answering, RefusedError } from "./refusal.ts";
import { checkTexts } from "./row-size.ts";
import { Runs, type RunsHost } from "./runs.ts";
import { toSamplingOptions } from "./sampling-record.ts";
import { prepareSchema } from "./schema.ts";
import type { Sign } from "./state-file.ts";
import { exportState, importState } from "./state-transfer.ts";
import type { CatalogueNote } from "./tenant-types.ts";
import { appendIds } from "./token-log.ts";
import type {
  Answer,
  BegunTurn,
  BranchRecord,
  ConversationItem,
  ConversationPort,
  InputItem,
  ItemPage,
  ItemQuery,
  ResponseRecord,
  TurnRequest,
} from "./types.ts";

/** A second turn on the same head waits this long for the first, then it is refused. */
const BUSY_WAIT_MILLISECONDS = 2000;

/** Checkpoints that the policy does not keep may lie about for this long. */
const COLLECT_MILLISECONDS = 30_000;

/** What the runtime around a conversation provides. */
export interface ConversationHost extends RunsHost {
  /** The object's name in the tenant's catalogue. */
  readonly object: string;
  readonly tenant: string;
  /** HMAC-SHA-256 under the deployment's key for state files. */
  readonly sign: Sign;
  sleep(milliseconds: number): Promise<void>;
  /** Tells the tenant. May throw: it is tried again. */
  note(note: CatalogueNote): Promise<void>;
  /** The conversation is erased: the tenant is told, and the storage given back. */
  forget(): Promise<void>;
}

export class ConversationCore implements ConversationPort {
  readonly #host: ConversationHost;
  readonly #runs: Runs;
  readonly #branches: BranchOperations;
  #isClosing = false;

  constructor(host: ConversationHost) {
    this.#host = host;
    prepareSchema(host.sql);
    this.#runs = new Runs(host, () => this.#tell());
    this.#branches = new BranchOperations(host, (node) => this.#idle(node));
  }

  // -- turns

  turn(request: TurnRequest, options: { readonly quiet: boolean }): Promise<Answer<BegunTurn>> {
    return answering(async () => {
      this.#runs.takeOver();
      for (;;) {
        const repeated = this.#repeated(request);
        if (repeated) return this.#begun(repeated, request, options, true);
        await this.#parentIdle(request);
        const loaded = await this.#host.models.load(request.model);
        toSamplingOptions(request.sampling, loaded.model.config.vocabSize); // refused before anything begins
        // As it is now: while the model loaded, something of it may have been deleted, or someone went on from there.
        const parent = this.#parentOf(request);
        if (parent?.status === "in_progress") continue;
        const plan = planTurn(this.#host.sql, loaded, parent, request);
        checkTexts([plan.instructions, plan.system, JSON.stringify(request.input)]);
        const admission = this.#host.models.admit(loaded);
        let nodes: number[] | null = null;
        try {
          nodes = this.#begin(request, parent, plan, loaded);
          if (!nodes) continue; // the same request came twice
          this.#runs.start(nodes, request.whenUnread, loaded, admission);
        } finally {
          if (!nodes) admission.release();
        }
        return this.#begun(nodes, request, options, false);
      }
    });
  }

  /** The nodes of an earlier request with the same idempotency key. */
  #repeated({ idempotency }: TurnRequest): number[] | null {
    if (!idempotency) return null;
    const [row] = this.#host.sql.exec("SELECT request_hash, nodes FROM idempotency WHERE key = ?", idempotency.key);
    if (!row) return null;
    if (row.request_hash !== idempotency.requestHash)
      throw new RefusedError(
        409,
        "idempotency_key_reused",
        "Idempotency-Key: it was used for another request; send a new key with a changed request",
      );
    return JSON.parse(row.nodes as string) as number[];
  }

  /** What the request continues. */
  #parentOf({ parent }: TurnRequest): Node | null {
    if (parent.kind === "root") return null;
    const id = parent.kind === "node" ? parent.node : this.#branches.find(parent.branch).head;
    if (id === null) return null;
    const node = findNode(this.#host.sql, id);
    // Messages without a reply are no response: `response` does not know them either.
    if (!node || (parent.kind === "node" && (node.status === "erased" || node.status === "items")))
      throw new RefusedError(404, noParent.code, noParent.message, noParent);
    return node;
  }

  /** Resolves once nothing runs there. */
  async #parentIdle(request: TurnRequest): Promise<void> {
    const deadline = this.#host.now() + BUSY_WAIT_MILLISECONDS;
    for (let node = this.#parentOf(request); node?.status === "in_progress"; node = this.#parentOf(request))
      await this.#idleUntil(node.id, deadline);
  }

  async #idle(node: number): Promise<void> {
    return this.#idleUntil(node, this.#host.now() + BUSY_WAIT_MILLISECONDS);
  }

  /** Waits for news of a running node; refuses once the deadline has passed. */
  async #idleUntil(node: number, deadline: number): Promise<void> {
    if (findNode(this.#host.sql, node)?.status !== "in_progress") return;
    const left = deadline - this.#host.now();
    if (left <= 0)
      throw new RefusedError(
        409,
        "conversation_busy",
        "the conversation is answering another request: wait for that response, cancel it, or branch from an earlier one",
        { retryAfterSeconds: 1 },
      );
    const { rung, stop } = this.#runs.bell.wait(node);
    await Promise.race([rung, this.#host.sleep(Math.min(left, 250))]);
    stop();
  }

  /** One transaction: from here on the turn can't be lost. null: a request with its idempotency key was there before. */
  #begin(request: TurnRequest, parent: Node | null, plan: TurnPlan, loaded: LoadedModel): number[] | null {
    const { sql } = this.#host;
    const now = Math.floor(this.#host.now() / 1000);
    const { parent: target, instructions: _, input, idempotency, choices, ...kept } = request;
    const stored: StoredRequest = kept;
    const branch = target.kind === "branch" ? target.branch : null;
    if (branch !== null && choices > 1)
      throw new RefusedError(400, "invalid_value", `n: expected 1 in a conversation, found ${choices}`, { param: "n" });
    return sql.transaction(() => {
      if (this.#isClosing) throw closing();
      if (this.#repeated(request)) return null;
      const first = nextNodeId(sql);
      const nodes = Array.from({ length: choices }, (_, choice) => first + choice);
      for (const [choice, id] of nodes.entries()) {
        insertNode(sql, {
          id,
          parent: parent?.id ?? null,
          branch,
          status: "in_progress",
          createdAt: now,
          request: stored,
          instructions: plan.instructions,
          system: plan.system,
          input,
          log: {
            digest: loaded.digest,
            logParent: plan.logParent,
            start: plan.start,
            promptLength: plan.promptIds.length,
            kept: null,
            tail: [],
            isCut: false,
          },
          choice,
        });
        appendIds(sql, id, 0, plan.promptIds);
      }
      if (branch !== null) sql.exec("UPDATE branch SET head = ? WHERE id = ?", first, branch);
      if (idempotency)
        sql.exec(
          "INSERT INTO idempotency (key, request_hash, nodes) VALUES (?, ?, ?)",
          idempotency.key,
          idempotency.requestHash,
          JSON.stringify(nodes),
        );
      ensureMeta(sql, this.#host.tenant, now);
      changeMeta(sql, now, { keep: request.stored ? "stored" : "unlisted", begun: nodes });
      return nodes;
    });
  }

  async #begun(
    nodes: readonly number[],
    request: TurnRequest,
    { quiet }: { readonly quiet: boolean },
    repeated: boolean,
  ): Promise<BegunTurn> {
    const loaded = await this.#host.models.load(request.model);
    const responses = nodes.map((id) => {
      const node = findNode(this.#host.sql, id);
      const record = node && finishedRecord(this.#host.sql, loaded, node);
      if (!record) throw notFound();
      return record;
    });
    return { responses, repeated, events: this.#stream(loaded, nodes, quiet) };
  }

  #stream(loaded: LoadedModel | null, nodes: readonly number[], quiet: boolean): ReadableStream<Uint8Array> {
    const { bell } = this.#runs;
    const host = {
      sql: this.#host.sql,
      bell,
      prefillOf: (node: number) => this.#runs.prefillOf(node),
      isLost: (node: number) => this.#runs.isLost(node),
    };
    return eventStream(host, loaded, nodes, { quiet, onLeave: this.#runs.addReader(nodes) });
  }

  // -- the object's one alarm

  /** The host's alarm: may come late, twice, or without need. Lasts as long as the segment of compute that it lets go on. */
  async wake(): Promise<void> {
    const { sql } = this.#host;
    const meta = readMeta(sql);
    if (!meta) return;
    if (await this.#expire(meta)) return;
    this.#runs.takeOver();
    await this.#runs.computeSegments();
    // A running turn will share parts of its parent's checkpoint: none may go meanwhile.
    if (this.#runs.isIdle) sql.transaction(() => collectCheckpoints(sql));
    await this.#tell();
    const { expiresAt } = readMeta(sql) ?? meta;
    if (expiresAt !== null) this.#host.wakeAt(1000 * expiresAt);
  }

  async #expire({ expiresAt }: Meta): Promise<boolean> {
    if (expiresAt === null || 1000 * expiresAt > this.#host.now() || !this.#runs.isIdle) return false;
    this.#host.wakeAt(this.#host.now() + COLLECT_MILLISECONDS); // should it fail, or this instance vanish meanwhile
    await this.destroy();
    return true;
  }

  /** Tells the tenant what changed; a failure is tried again at the next wake-up. */
  async #tell(): Promise<void> {
    const { sql, object } = this.#host;
    const meta = readMeta(sql);
    if (!meta?.noteDue) return;
    this.#host.wakeAt(this.#host.now() + COLLECT_MILLISECONDS);
    try {
      const branches = this.#branches.list();
      await this.#host.note({
        object,
        createdAt: meta.createdAt,
        updatedAt: meta.updatedAt,
        expiresAt: meta.expiresAt,
        usage: meta.usage,
        branches,
      });
      sql.exec("UPDATE meta SET note_due = 0 WHERE note_due = ?", meta.noteDue); // not what changed meanwhile
    } catch (error) {
      this.#host.report("the tenant was not told", error);
    }
  }

  // -- responses

  response(node: number): Promise<Answer<ResponseRecord>> {
    return answering(async () => {
      this.#runs.takeOver();
      return this.#record(node);
    });
  }

  /** Without its log-probabilities: reading those takes the model. */
  #plainRecord(id: number): ResponseRecord {
    const node = findNode(this.#host.sql, id);
    const record = node && toRecord(node);
    if (!record) throw notFound();
    return record;
  }

  async #record(id: number): Promise<ResponseRecord> {
    const plain = this.#plainRecord(id);
    if (!plain.sampling.logprobs) return plain;
    const loaded = await this.#modelOf(plain.model);
    const node = findNode(this.#host.sql, id);
    const record = node && finishedRecord(this.#host.sql, loaded, node);
    if (!record) throw notFound();
    return record;
  }

  /** null: it is not served any more. What it said is kept without it. */
  async #modelOf(id: string): Promise<LoadedModel | null> {
    try {
      return await this.#host.models.load(id);
    } catch (error) {
      if (error instanceof ModelError && error.code === "model.unknown") return null;
      throw error;
    }
  }

  events(node: number, { quiet }: { readonly quiet: boolean }): Promise<Answer<ReadableStream<Uint8Array>>> {
    return answering(async () => {
      this.#runs.takeOver();
      return this.#stream(await this.#modelOf(this.#plainRecord(node).model), [node], quiet);
    });
  }

  cancel(node: number): Promise<Answer<ResponseRecord>> {
    return answering(async () => {
      this.#runs.takeOver();
      this.#plainRecord(node);
      await this.#runs.stop(node);
      return this.#record(node).catch(() => this.#plainRecord(node)); // it is cancelled, with or without room for the model
    });
  }

  deleteResponse(id: number): Promise<Answer<null>> {
    return answering(async () => {
      this.#runs.takeOver();
      this.#plainRecord(id);
      const { sql } = this.#host;
      await this.#runs.stopFrom(id);
      sql.transaction(() => {
        eraseNodes(sql, [id]);
        changeMeta(sql, Math.floor(this.#host.now() / 1000), {});
      });
      this.#runs.bell.ring(id);
      return null;
    });
  }

  inputItems(node: number, query: ItemQuery): Promise<Answer<ItemPage>> {
    return answering(async () => {
      this.#plainRecord(node);
      return this.#branches.page(node, query, false);
    });
  }

  // -- branches: what the API calls conversations

  createBranch(options: Parameters<ConversationPort["createBranch"]>[0]): Promise<Answer<BranchRecord>> {
    return this.#changing(() => this.#branches.create(options));
  }

  branch(branch: number): Promise<Answer<BranchRecord>> {
    return answering(() => this.#branches.find(branch));
  }

  updateBranch(branch: number, metadata: Readonly<Record<string, string>>): Promise<Answer<BranchRecord>> {
    return this.#changing(() => this.#branches.update(branch, metadata));
  }

  deleteBranch(branch: number): Promise<Answer<null>> {
    return answering(async () => {
      this.#branches.find(branch);
      this.#host.wakeAt(this.#host.now() + COLLECT_MILLISECONDS);
      const isEmpty = await this.#branches.delete(branch);
      if (!isEmpty) await this.#tell();
      // What was asked for is done by now. Should the rest fail, the wake-up does it.
      else await this.destroy().catch((error) => this.#host.report("an empty conversation was not forgotten", error));
      return null;
    });
  }

  items(branch: number, query: ItemQuery): Promise<Answer<ItemPage>> {
    return answering(() => this.#branches.items(branch, query));
  }

  item(branch: number, node: number, index: number): Promise<Answer<ConversationItem>> {
    return answering(() => this.#branches.item(branch, node, index));
  }

  addItems(branch: number, items: readonly InputItem[]): Promise<Answer<readonly ConversationItem[]>> {
    return this.#changing(() => this.#branches.add(branch, items));
  }

  deleteItem(branch: number, node: number, index: number): Promise<Answer<BranchRecord>> {
    return this.#changing(async () => {
      this.#branches.item(branch, node, index);
      this.#branches.checkOwned(branch, node); // before anything is stopped for it
      await this.#runs.stopFrom(node);
      return this.#branches.deleteItem(branch, node, index);
    });
  }

  #changing<Value>(body: () => Promise<Value> | Value): Promise<Answer<Value>> {
    return answering(async () => {
      if (this.#isClosing) throw closing();
      this.#runs.takeOver();
      const value = await body();
      await this.#tell();
      return value;
    });
  }

  // -- states

  exportState(branch: number): Promise<Answer<ReadableStream<Uint8Array>>> {
    return answering(async () => {
      const { head } = this.#branches.find(branch);
      if (head !== null) await this.#idle(head);
      return exportState(this.#host, head);
    });
  }

  importState(branch: number, file: ReadableStream<Uint8Array>): Promise<Answer<BranchRecord>> {
    return this.#changing(async () => {
      const { head } = this.#branches.find(branch);
      if (head !== null) await this.#idle(head);
      return importState(this.#host, branch, file, (node) => this.#branches.moveHead(branch, head, node));
    });
  }

  exportAll(): Promise<Answer<ReadableStream<Uint8Array>>> {
    return answering(() => exportRecords(this.#host.sql, this.#branches));
  }

  /** Until the host has forgotten it, calls still come in: what they began would be wiped behind an acknowledgement. */
  async destroy(): Promise<void> {
    this.#isClosing = true;
    try {
      await this.#runs.stopAll();
      await this.#host.forget();
    } finally {
      this.#isClosing = false; // it failed, or this is an empty conversation again
    }
  }
}

function closing(): RefusedError {
  return new RefusedError(409, "conversation_busy", "the conversation is being erased: send the request again", {
    retryAfterSeconds: 1,
  });
}

function notFound(): RefusedError {
  return new RefusedError(404, "response_not_found", "there is no such response");
}
