/**
 * The core of a conversation: everything that its object answers to, on a database, a source of models and a clock that
 * the host hands in. All that matters is in the database: an instance may vanish at any instant, and the next one goes on.
 */

import { BranchOperations } from "./branches.ts";
import type { Digest } from "./checkpoints.ts";
import { collectCheckpoints } from "./checkpoints.ts";
import { eraseNode } from "./erase.ts";
import { exportRecords } from "./export-records.ts";
import { changeMeta, ensureMeta, type Meta, readMeta } from "./meta.ts";
import type { Admission, LoadedModel, ModelSource } from "./model-source.ts";
import { BusyError } from "./model-source.ts";
import { findNode, insertNode, type Node, nextNodeId, pathUp, type StoredRequest, toRecord } from "./nodes.ts";
import { planTurn, type TurnPlan } from "./plan.ts";
import { Bell, eventStream, finishedRecord, type StreamOptions } from "./readers.ts";
import { answering, RefusedError, refusalOf } from "./refusal.ts";
import { LeaseLost, runChoices } from "./runner.ts";
import { toSamplingOptions } from "./sampling-record.ts";
import { prepareSchema } from "./schema.ts";
import type { Sql } from "./sql.ts";
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

/** How soon a wake-up looks after a turn that this instance runs: should the instance vanish, another goes on then. */
const HEARTBEAT_MILLISECONDS = 30_000;

/** Checkpoints that the policy does not keep may lie about for this long. */
const COLLECT_MILLISECONDS = 30_000;

/** A turn that was taken over this often without a single new token in between is given up. */
const MAX_ATTEMPTS = 5;

/** What the runtime around a conversation provides. */
export interface ConversationHost {
  /** The object's name in the tenant's catalogue. */
  readonly object: string;
  readonly tenant: string;
  readonly sql: Sql;
  readonly models: ModelSource;
  /** SHA-256 as 64 hexadecimal digits. */
  readonly digest: Digest;
  /** HMAC-SHA-256 under the deployment's key for state files. */
  readonly sign: Sign;
  /** Milliseconds since 1970. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
  /** Tokens that one event may process. */
  segmentTokens(loaded: LoadedModel): number;
  /** Calls `ConversationCore.wake` at about this time, even if this instance is gone by then; an earlier wish stays. */
  wakeAt(milliseconds: number): void;
  /** Tells the tenant. May throw: it is tried again. */
  note(note: CatalogueNote): Promise<void>;
  /** Work that goes on after the call that began it was answered. */
  keepAlive(work: Promise<void>): void;
  /** For the operator: what went wrong that no caller can mend. */
  report(what: string, error: unknown): void;
  /** The conversation is erased: the tenant is told, and the storage given back. */
  forget(): Promise<void>;
}

/** A turn that this instance computes. */
interface Run {
  readonly nodes: readonly number[];
  readonly whenUnread: "stop" | "go on";
  readers: number;
  isCancelled: boolean;
  done: Promise<void>;
  /** Called when its segment of compute is over, or the whole of it. */
  onPause: () => void;
  /** Lets the next segment begin; null while it computes. */
  begin: (() => void) | null;
}

export class ConversationCore implements ConversationPort {
  readonly #host: ConversationHost;
  readonly #bell = new Bell();
  readonly #runs = new Map<number, Run>();
  readonly #prefills = new Map<number, { done: number; total: number }>();
  readonly #branches: BranchOperations;

  constructor(host: ConversationHost) {
    this.#host = host;
    prepareSchema(host.sql);
    this.#branches = new BranchOperations(host, (node) => this.#idle(node));
  }

  // -- turns

  turn(request: TurnRequest, options: { readonly quiet: boolean }): Promise<Answer<BegunTurn>> {
    return answering(async () => {
      this.#takeOver();
      for (;;) {
        const repeated = this.#repeated(request);
        if (repeated) return this.#begun(repeated, request, options, true);
        const parent = await this.#parentOf(request);
        const loaded = await this.#host.models.load(request.model);
        toSamplingOptions(request.sampling, loaded.model.config.vocabSize); // refused before anything begins
        const plan = planTurn(this.#host.sql, loaded, parent, request);
        const admission = this.#host.models.admit(loaded);
        let nodes: number[] | null = null;
        try {
          nodes = this.#begin(request, parent, plan, loaded);
          if (!nodes) continue; // while the model loaded, someone else went on from there
          this.#start(nodes, request.whenUnread, loaded, admission);
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

  /** What the request continues, once nothing runs there any more. */
  async #parentOf({ parent }: TurnRequest): Promise<Node | null> {
    if (parent.kind === "root") return null;
    const deadline = this.#host.now() + BUSY_WAIT_MILLISECONDS;
    for (;;) {
      const id = parent.kind === "node" ? parent.node : this.#branches.find(parent.branch).head;
      if (id === null) return null;
      const node = findNode(this.#host.sql, id);
      if (!node || (parent.kind === "node" && node.status === "erased"))
        throw new RefusedError(404, "previous_response_not_found", `previous_response_id: there is no such response`, {
          param: "previous_response_id",
        });
      if (node.status !== "in_progress") return node;
      await this.#idleUntil(node.id, deadline);
    }
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
    const { rung, stop } = this.#bell.wait(node);
    await Promise.race([rung, this.#host.sleep(Math.min(left, 250))]);
    stop();
  }

  /** One transaction: from here on the turn can't be lost. null: its place was taken meanwhile. */
  #begin(request: TurnRequest, parent: Node | null, plan: TurnPlan, loaded: LoadedModel): number[] | null {
    const { sql } = this.#host;
    const now = Math.floor(this.#host.now() / 1000);
    const { parent: target, instructions: _, input, idempotency, choices, ...kept } = request;
    const stored: StoredRequest = kept;
    const branch = target.kind === "branch" ? target.branch : null;
    if (branch !== null && choices > 1)
      throw new RefusedError(400, "invalid_value", `n: expected 1 in a conversation, found ${choices}`, { param: "n" });
    return sql.transaction(() => {
      if (this.#repeated(request)) return null;
      if (branch !== null && this.#branches.find(branch).head !== (parent?.id ?? null)) return null;
      if (parent && findNode(sql, parent.id)?.status !== parent.status) return null;
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
          // Further choices share the first one's work on the prompt.
          cached: choice === 0 ? plan.cached : plan.start + plan.promptIds.length,
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

  #stream(loaded: LoadedModel, nodes: readonly number[], quiet: boolean): ReadableStream<Uint8Array> {
    const runs = [...new Set(nodes.map((node) => this.#runs.get(node)))].filter((run) => run !== undefined);
    for (const run of runs) run.readers++;
    const options: StreamOptions = {
      quiet,
      onLeave: () => {
        for (const run of runs) {
          run.readers--;
          if (run.readers === 0 && run.whenUnread === "stop") run.isCancelled = true;
        }
      },
    };
    const host = {
      sql: this.#host.sql,
      bell: this.#bell,
      prefillOf: (node: number) => this.#prefills.get(node) ?? null,
    };
    return eventStream(host, loaded, nodes, options);
  }

  // -- running

  #start(nodes: readonly number[], whenUnread: Run["whenUnread"], loaded: LoadedModel, admission: Admission): void {
    const run = this.#register(nodes, whenUnread);
    this.#host.wakeAt(this.#host.now() + HEARTBEAT_MILLISECONDS);
    run.done = this.#execute(run, loaded, admission);
    this.#host.keepAlive(run.done);
  }

  #register(nodes: readonly number[], whenUnread: Run["whenUnread"]): Run {
    const run: Run = {
      nodes,
      whenUnread,
      readers: 0,
      isCancelled: false,
      done: Promise.resolve(),
      onPause: () => undefined,
      begin: null,
    };
    for (const node of nodes) this.#runs.set(node, run);
    return run;
  }

  async #execute(run: Run, loaded: LoadedModel, admission: Admission): Promise<void> {
    const { sql, digest, models } = this.#host;
    try {
      const host = {
        sql,
        digest,
        now: () => this.#host.now(),
        segmentTokens: (model: LoadedModel) => this.#host.segmentTokens(model),
        nextSegment: () => this.#waitForSegment(run),
        changed: (node: number) => this.#bell.ring(node),
        prefilled: (node: number, done: number, total: number) => {
          this.#prefills.set(node, { done, total });
          this.#bell.ring(node);
        },
      };
      await runChoices(host, loaded, admission, run.nodes, () => run.isCancelled);
    } catch (error) {
      if (error instanceof Error && error.name === "RuntimeError") models.discard(loaded); // a trap in a kernel
      if (!(error instanceof LeaseLost)) this.#fail(run, error);
    } finally {
      admission.release();
      for (const node of run.nodes) {
        if (this.#runs.get(node) === run) this.#runs.delete(node);
        this.#prefills.delete(node);
        this.#bell.ring(node);
      }
      run.onPause();
      await this.#tell();
    }
  }

  /** What can't be computed ends as `failed`, so that nobody waits for it. */
  #fail(run: Run, error: unknown): void {
    const { sql } = this.#host;
    const code = error instanceof Error && error.name === "RuntimeError" ? "kernel_trap" : "server_error";
    const message = refusalOf(error)?.message ?? "the response could not be computed: ask again";
    const now = Math.floor(this.#host.now() / 1000);
    sql.transaction(() => {
      for (const id of run.nodes) {
        const node = findNode(sql, id);
        if (node?.status !== "in_progress") continue;
        sql.exec(
          "UPDATE node SET status = 'failed', completed_at = ?, error = ?, kept = 0 WHERE id = ?",
          now,
          JSON.stringify({ code, message }),
          id,
        );
      }
      changeMeta(sql, now, { ended: run.nodes });
    });
    this.#host.report("a response failed", error);
  }

  /** Goes on with turns that an earlier instance left behind. */
  #takeOver(): void {
    const { sql } = this.#host;
    const orphans = (readMeta(sql)?.running ?? [])
      .filter((id) => !this.#runs.has(id))
      .map((id) => findNode(sql, id))
      .filter((node) => node?.status === "in_progress") as Node[];
    const turns = new Map<string, Node[]>(); // choices of one turn have the same parent and moment
    for (const node of orphans) {
      const key = `${node.parent} ${node.createdAt} ${node.id - node.choice}`;
      turns.set(key, [...(turns.get(key) ?? []), node]);
    }
    for (const nodes of turns.values()) {
      // Its readers left when the instance did, not because they had enough.
      const run = this.#register(
        nodes.map(({ id }) => id),
        "go on",
      );
      run.done = this.#resume(run, nodes);
      this.#host.keepAlive(run.done);
    }
  }

  async #resume(run: Run, nodes: readonly Node[]): Promise<void> {
    const { sql, models } = this.#host;
    this.#host.wakeAt(this.#host.now() + HEARTBEAT_MILLISECONDS);
    const request = nodes[0].request as StoredRequest;
    try {
      if (nodes.some(({ attempts }) => attempts >= MAX_ATTEMPTS))
        throw new Error(`given up after ${MAX_ATTEMPTS} attempts that made no progress`);
      const loaded = await models.load(request.model);
      if (nodes.some(({ log }) => log?.digest !== loaded.digest))
        throw new Error("the model was replaced while the response was being generated");
      const admission = models.admit(loaded);
      // The new epoch fences off whoever ran it before, should it still be alive somewhere.
      sql.transaction(() => {
        for (const { id } of nodes)
          sql.exec("UPDATE node SET epoch = epoch + 1, attempts = attempts + 1 WHERE id = ?", id);
      });
      await this.#execute(run, loaded, admission);
    } catch (error) {
      for (const { id } of nodes) this.#runs.delete(id);
      if (error instanceof BusyError) return this.#host.wakeAt(this.#host.now() + 1000 * error.retryAfterSeconds);
      this.#fail(run, error);
      for (const { id } of nodes) this.#bell.ring(id);
    }
  }

  #waitForSegment(run: Run): Promise<void> {
    const begun = new Promise<void>((resolve) => {
      run.begin = resolve;
    });
    run.onPause();
    this.#host.wakeAt(this.#host.now());
    return begun;
  }

  /** Lets a run that waits for its next segment go on; resolves when it pauses again or ends. */
  #continue(run: Run): Promise<void> {
    const paused = new Promise<void>((resolve) => {
      run.onPause = resolve;
    });
    run.begin?.();
    run.begin = null;
    return paused;
  }

  /** The host's alarm: may come late, twice, or without need. Lasts as long as the segment of compute that it lets go on. */
  async wake(): Promise<void> {
    const { sql } = this.#host;
    const meta = readMeta(sql);
    if (!meta) return;
    if (await this.#expire(meta)) return;
    this.#takeOver();
    const waiting = new Set([...this.#runs.values()].filter(({ begin }) => begin !== null));
    await Promise.all([...waiting].map((run) => this.#continue(run)));
    if (this.#runs.size > 0) this.#host.wakeAt(this.#host.now() + HEARTBEAT_MILLISECONDS);
    // A running turn will share parts of its parent's checkpoint: none may go meanwhile.
    else sql.transaction(() => collectCheckpoints(sql));
    await this.#tell();
    const { expiresAt } = readMeta(sql) ?? meta;
    if (expiresAt !== null) this.#host.wakeAt(1000 * expiresAt);
  }

  async #expire({ expiresAt }: Meta): Promise<boolean> {
    if (expiresAt === null || 1000 * expiresAt > this.#host.now() || this.#runs.size > 0) return false;
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
      this.#takeOver();
      return this.#record(node);
    });
  }

  async #record(id: number): Promise<ResponseRecord> {
    const node = findNode(this.#host.sql, id);
    const record = node && toRecord(node);
    if (!node || !record) throw notFound();
    if (!record.sampling.logprobs) return record;
    return finishedRecord(this.#host.sql, await this.#host.models.load(record.model), node) as ResponseRecord;
  }

  events(node: number, { quiet }: { readonly quiet: boolean }): Promise<Answer<ReadableStream<Uint8Array>>> {
    return answering(async () => {
      this.#takeOver();
      const { model } = await this.#record(node);
      return this.#stream(await this.#host.models.load(model), [node], quiet);
    });
  }

  cancel(node: number): Promise<Answer<ResponseRecord>> {
    return answering(async () => {
      this.#takeOver();
      await this.#record(node);
      const run = this.#runs.get(node);
      if (run) await this.#stop(run);
      return this.#record(node);
    });
  }

  async #stop(run: Run): Promise<void> {
    run.isCancelled = true;
    if (run.begin) void this.#continue(run);
    await run.done;
  }

  /** Stops what runs at a node or behind it: it computes with text that is about to be erased. */
  async #stopFrom(node: number): Promise<void> {
    for (const run of new Set(this.#runs.values()))
      if ([...pathUp(this.#host.sql, run.nodes[0])].some(({ id }) => id === node)) await this.#stop(run);
  }

  deleteResponse(id: number): Promise<Answer<null>> {
    return answering(async () => {
      this.#takeOver();
      await this.#record(id);
      const { sql } = this.#host;
      await this.#stopFrom(id);
      sql.transaction(() => {
        eraseNode(sql, id);
        changeMeta(sql, Math.floor(this.#host.now() / 1000), {});
      });
      this.#bell.ring(id);
      return null;
    });
  }

  inputItems(node: number, query: ItemQuery): Promise<Answer<ItemPage>> {
    return answering(async () => {
      await this.#record(node);
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
      const isEmpty = await this.#branches.delete(branch);
      if (isEmpty) await this.destroy();
      else await this.#tell();
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
      await this.#stopFrom(node);
      return this.#branches.deleteItem(branch, node, index);
    });
  }

  #changing<Value>(body: () => Promise<Value> | Value): Promise<Answer<Value>> {
    return answering(async () => {
      this.#takeOver();
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
      const node = await importState(this.#host, branch, file);
      return this.#branches.moveHead(branch, head, node);
    });
  }

  exportAll(): Promise<Answer<ReadableStream<Uint8Array>>> {
    return answering(() => exportRecords(this.#host.sql, this.#branches));
  }

  async destroy(): Promise<void> {
    for (const run of new Set(this.#runs.values())) await this.#stop(run);
    await this.#host.forget();
  }
}

function notFound(): RefusedError {
  return new RefusedError(404, "response_not_found", "there is no such response");
}
