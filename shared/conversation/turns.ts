/** How a turn begins: what it continues, what it was asked before, and the one transaction behind which it can't be lost. */

import type { BranchOperations } from "./branches.ts";
import type { ConversationHost } from "./conversation.ts";
import { changeMeta, ensureMeta } from "./meta.ts";
import { type LoadedModel, turnNeeds } from "./model-source.ts";
import { findNode, insertNode, type Node, nextNodeId, storedOf } from "./nodes.ts";
import { planTurn, type TurnPlan } from "./plan.ts";
import { noParent } from "./port-call.ts";
import { RefusedError } from "./refusal.ts";
import { checkReply, checkTexts } from "./row-size.ts";
import type { Runs } from "./runs.ts";
import { toSamplingOptions } from "./sampling-record.ts";
import { appendIds } from "./token-log.ts";
import type { TurnRequest } from "./types.ts";

export interface Begun {
  readonly nodes: readonly number[];
  /** Begun by an earlier request with the same idempotency key. */
  readonly isRepeated: boolean;
}

export class Turns {
  readonly #host: ConversationHost;
  readonly #runs: Runs;
  readonly #branches: BranchOperations;
  readonly #checkOpen: () => void;

  /** `checkOpen` throws while the conversation is being erased. */
  constructor(host: ConversationHost, runs: Runs, branches: BranchOperations, checkOpen: () => void) {
    this.#host = host;
    this.#runs = runs;
    this.#branches = branches;
    this.#checkOpen = checkOpen;
  }

  async begin(request: TurnRequest): Promise<Begun> {
    for (;;) {
      const repeated = this.#repeated(request);
      if (repeated) return { nodes: repeated, isRepeated: true };
      await this.#parentIdle(request);
      const loaded = await this.#host.models.load(request.model);
      toSamplingOptions(request.sampling, loaded.model.config.vocabSize); // refused before anything begins
      // As it is now: while the model loaded, something of it may have been deleted, or someone went on from there.
      const parent = this.#parentOf(request);
      if (parent?.status === "in_progress") continue;
      const plan = planTurn(this.#host.sql, loaded, parent, request);
      const texts = [plan.instructions ?? "", plan.system, JSON.stringify(request.input)];
      checkTexts(texts);
      checkReply([...texts, JSON.stringify(storedOf(request))], {
        tokens: request.maxTokens,
        bytesPerToken: loaded.tokenizer.longestTextBytes,
      });
      const admission = this.#host.models.admit(loaded, turnNeeds(request.choices));
      let nodes: number[] | null = null;
      try {
        nodes = this.#begin(request, parent, plan, loaded);
        if (!nodes) continue; // the same request came twice
        this.#runs.start(nodes, request.whenUnread, loaded, admission);
      } finally {
        if (!nodes) admission.release();
      }
      return { nodes, isRepeated: false };
    }
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
    const deadline = this.#runs.busyDeadline();
    for (let node = this.#parentOf(request); node?.status === "in_progress"; node = this.#parentOf(request))
      await this.#runs.newsOf(node.id, deadline);
  }

  /** One transaction: from here on the turn can't be lost. null: a request with its idempotency key was there before. */
  #begin(request: TurnRequest, parent: Node | null, plan: TurnPlan, loaded: LoadedModel): number[] | null {
    const { sql } = this.#host;
    const now = Math.floor(this.#host.now() / 1000);
    const { parent: target, input, idempotency, choices } = request;
    const stored = storedOf(request);
    const branch = target.kind === "branch" ? target.branch : null;
    if (branch !== null && choices > 1)
      throw new RefusedError(400, "invalid_value", `n: expected 1 in a conversation, found ${choices}`, { param: "n" });
    return sql.transaction(() => {
      this.#checkOpen();
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
      ensureMeta(sql, this.#host.tenant, this.#host.now());
      changeMeta(sql, this.#host.now(), { keep: request.stored ? "stored" : "unlisted", begun: nodes });
      return nodes;
    });
  }
}
