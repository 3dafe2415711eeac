/**
 * The core of a conversation: everything that its object answers to, on a database, a source of models and a clock that
 * the host hands in. All that matters is in the database: an instance may vanish at any instant, and the next one goes on.
 */

import { BranchOperations } from "./branches.ts";
import { collectCheckpoints } from "./checkpoints.ts";
import { eraseEverything, eraseNodes } from "./erase.ts";
import { exportRecords } from "./export-records.ts";
import { changeMeta, type Meta, readMeta } from "./meta.ts";
import { BusyError, type LoadedModel, ModelError } from "./model-source.ts";
import { findNode, toRecord } from "./nodes.ts";
import { eventStream, finishedRecord } from "./readers.ts";
import { answering, RefusedError } from "./refusal.ts";
import { Runs, type RunsHost } from "./runs.ts";
import { prepareSchema } from "./schema.ts";
import type { Sign } from "./state-file.ts";
import { exportState, importState } from "./state-transfer.ts";
import type { CatalogueNote } from "./tenant-types.ts";
import { Turns } from "./turns.ts";
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

/** Checkpoints that the policy does not keep may lie about for this long. */
const COLLECT_MILLISECONDS = 30_000;

/** What the runtime around a conversation provides. */
export interface ConversationHost extends RunsHost {
  /** The object's name in the tenant's catalogue. */
  readonly object: string;
  readonly tenant: string;
  /** HMAC-SHA-256 under the deployment's key for state files. */
  readonly sign: Sign;
  /** Tells the tenant. May throw: it is tried again. */
  note(note: CatalogueNote): Promise<void>;
  /** Tells the tenant that the conversation was erased by that change. May throw, and may then have told it all the same. */
  forget(updatedAt: number): Promise<void>;
  /** Gives the storage back, the alarm with it: all or nothing. */
  clear(): Promise<void>;
}

export class ConversationCore implements ConversationPort {
  readonly #host: ConversationHost;
  readonly #runs: Runs;
  readonly #branches: BranchOperations;
  readonly #turns: Turns;
  #isClosing = false;

  constructor(host: ConversationHost) {
    this.#host = host;
    prepareSchema(host.sql);
    this.#runs = new Runs(host, () => this.#tell());
    this.#branches = new BranchOperations(host, (node) => this.#runs.idle(node));
    this.#turns = new Turns(host, this.#runs, this.#branches, () => this.#checkOpen());
  }

  // -- turns

  turn(request: TurnRequest, options: { readonly quiet: boolean }): Promise<Answer<BegunTurn>> {
    return answering(async () => {
      this.#runs.takeOver();
      const { nodes, isRepeated } = await this.#turns.begin(request);
      return this.#begun(nodes, request, options, isRepeated);
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
      try {
        return await this.#record(node);
      } catch (error) {
        if (error instanceof BusyError) return this.#plainRecord(node); // cancelled, with or without room for the model
        throw error;
      }
    });
  }

  deleteResponse(id: number): Promise<Answer<null>> {
    return answering(async () => {
      this.#plainRecord(id);
      const { sql } = this.#host;
      await this.#runs.stopFrom(id, () =>
        sql.transaction(() => {
          eraseNodes(sql, [id]);
          changeMeta(sql, this.#host.now(), {});
        }),
      );
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
      const { head } = this.#branches.find(branch);
      this.#host.wakeAt(this.#host.now() + COLLECT_MILLISECONDS);
      const erase = () => this.#branches.delete(branch, head);
      const reply = head === null ? null : findNode(this.#host.sql, head);
      // Its own reply need not be finished to be erased; one that another line begins with is waited for.
      const isOwn = reply?.branch === branch && reply.status === "in_progress";
      if (reply && !isOwn) await this.#runs.idle(reply.id);
      const isEmpty = isOwn ? await this.#runs.stopFrom(reply.id, erase) : erase();
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
      return this.#runs.stopFrom(node, () => this.#branches.deleteItem(branch, node, index));
    });
  }

  #changing<Value>(body: () => Promise<Value> | Value): Promise<Answer<Value>> {
    return answering(async () => {
      this.#checkOpen();
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
      if (head !== null) await this.#runs.idle(head);
      return exportState(this.#host, head);
    });
  }

  importState(branch: number, file: ReadableStream<Uint8Array>): Promise<Answer<BranchRecord>> {
    return this.#changing(async () => {
      const { head } = this.#branches.find(branch);
      if (head !== null) await this.#runs.idle(head);
      return importState(this.#host, branch, file, (node) => this.#branches.moveHead(branch, head, node));
    });
  }

  exportAll(): Promise<Answer<ReadableStream<Uint8Array>>> {
    return answering(() => exportRecords(this.#host.sql, this.#branches));
  }

  #checkOpen(): void {
    if (!this.#isClosing) return;
    throw new RefusedError(409, "conversation_busy", "the conversation is being erased: send the request again", {
      retryAfterSeconds: 1,
    });
  }

  /**
   * Its texts are gone before anybody is told: whoever asks the tenant what is left to be erased will not find it again. Should
   * the rest fail, or this instance vanish meanwhile, the wake-up does it.
   */
  async destroy(): Promise<void> {
    const { sql } = this.#host;
    this.#host.wakeAt(this.#host.now() + COLLECT_MILLISECONDS);
    // Until the storage is given back, calls still come in: what they began would be wiped behind an acknowledgement.
    this.#isClosing = true;
    try {
      await this.#runs.stopAll();
      const running = readMeta(sql)?.running ?? []; // for want of room they could not be stopped
      sql.transaction(() => {
        eraseEverything(sql);
        changeMeta(sql, this.#host.now(), { keep: "nothing", ended: running });
      });
      for (const node of running) this.#runs.bell.ring(node);
      await this.#host.forget(readMeta(sql)?.updatedAt ?? 0);
      await this.#host.clear();
    } finally {
      this.#isClosing = false; // it failed, or this is an empty conversation again
    }
  }
}

function notFound(): RefusedError {
  return new RefusedError(404, "response_not_found", "there is no such response");
}
