/** The turns that this instance computes: started, taken over from an instance that vanished, cut into segments, stopped. */

import type { Digest } from "./checkpoints.ts";
import { endAsFailed } from "./failed-run.ts";
import { readMeta } from "./meta.ts";
import { type Admission, BusyError, type LoadedModel, type ModelSource, turnNeeds } from "./model-source.ts";
import { FIRST_EPOCH, findNode, idsUp, type Node, type StoredRequest } from "./nodes.ts";
import { Bell } from "./readers.ts";
import { RefusedError } from "./refusal.ts";
import { type Epochs, LeaseLost, runChoices } from "./runner.ts";
import type { Sql } from "./sql.ts";
import { discardTrapped } from "./traps.ts";

/** How soon a wake-up looks after a turn that this instance runs: should the instance vanish, another goes on then. */
const HEARTBEAT_MILLISECONDS = 30_000;

/** Whoever waits for a running node, to go on behind it, waits this long; then the request is refused. */
const BUSY_WAIT_MILLISECONDS = 2000;

/** Turns may begin as fast as others are stopped; whoever waits for the last of them is refused after so many rounds. */
const STOP_ROUNDS = 20;

/** A turn that was taken over this often without a single new token in between is given up. */
const MAX_ATTEMPTS = 5;

export interface RunsHost {
  readonly sql: Sql;
  readonly models: ModelSource;
  /** SHA-256 as 64 hexadecimal digits. */
  readonly digest: Digest;
  /** Milliseconds since 1970. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
  /** Tokens that one event may process. */
  segmentTokens(loaded: LoadedModel): number;
  /** Calls `ConversationCore.wake` at about this time, even if this instance is gone by then; an earlier wish stays. */
  wakeAt(milliseconds: number): void;
  /** Work that goes on after the call that began it was answered. */
  keepAlive(work: Promise<void>): void;
  /** For the operator: what went wrong that no caller can mend. */
  report(what: string, error: unknown): void;
}

/** A turn under way. */
interface Run {
  readonly nodes: readonly number[];
  readonly whenUnread: "stop" | "go on";
  readers: number;
  isCancelled: boolean;
  /** Why it could not be taken up for now. */
  busy: BusyError | null;
  done: Promise<void>;
  /** Called when its segment of compute is over, or the whole of it. */
  onPause: () => void;
  /** Lets the next segment begin; null while it computes. */
  begin: (() => void) | null;
}

/** A turn that may be computed: its model, and leave to use it. */
interface Ready {
  readonly loaded: LoadedModel;
  readonly admission: Admission;
  readonly epochs: Epochs;
}

/** Trying again would not help. */
class GivenUp extends Error {}

export class Runs {
  /** Rings whenever a node's log or status has changed. */
  readonly bell = new Bell();
  readonly #host: RunsHost;
  readonly #afterRun: () => Promise<void>;
  readonly #byNode = new Map<number, Run>();
  readonly #prefills = new Map<number, { done: number; total: number }>();
  readonly #lost = new Set<number>();

  /** `afterRun` is awaited as a part of each run. */
  constructor(host: RunsHost, afterRun: () => Promise<void>) {
    this.#host = host;
    this.#afterRun = afterRun;
  }

  get isIdle(): boolean {
    return this.#byNode.size === 0;
  }

  /** How far a running response's prompt is processed. */
  prefillOf(node: number): { readonly done: number; readonly total: number } | null {
    return this.#prefills.get(node) ?? null;
  }

  /** Another instance computes this node: its news are not heard here. */
  isLost(node: number): boolean {
    return this.#lost.has(node);
  }

  start(nodes: readonly number[], whenUnread: Run["whenUnread"], loaded: LoadedModel, admission: Admission): void {
    const run = this.#register(nodes, whenUnread);
    run.done = this.#drive(run, { loaded, admission, epochs: new Map(nodes.map((id) => [id, FIRST_EPOCH])) });
    this.#host.keepAlive(run.done);
  }

  /** Goes on with turns that an earlier instance left behind. */
  takeOver(): void {
    const { sql } = this.#host;
    const orphans = (readMeta(sql)?.running ?? [])
      .filter((id) => !this.#byNode.has(id))
      .map((id) => findNode(sql, id))
      .filter((node) => node?.status === "in_progress") as Node[];
    const turns = new Map<number, Node[]>(); // choices of one turn have neighbouring numbers
    for (const node of orphans) {
      const first = node.id - node.choice;
      turns.set(first, [...(turns.get(first) ?? []), node]);
    }
    for (const nodes of turns.values()) {
      // Its readers left when the instance did, not because they had enough.
      const run = this.#register(
        nodes.map(({ id }) => id),
        "go on",
      );
      run.done = this.#drive(run, null);
      this.#host.keepAlive(run.done);
    }
  }

  /** Counts a reader of these nodes; the function returned takes it off again, should it leave before the end. */
  addReader(nodes: readonly number[]): () => void {
    const runs = [...new Set(nodes.map((node) => this.#byNode.get(node)))].filter((run) => run !== undefined);
    for (const run of runs) run.readers++;
    return () => {
      for (const run of runs) {
        run.readers--;
        if (run.readers === 0 && run.whenUnread === "stop") run.isCancelled = true;
      }
    };
  }

  busyDeadline(): number {
    return this.#host.now() + BUSY_WAIT_MILLISECONDS;
  }

  /** Resolves once nothing runs at a node. */
  async idle(node: number): Promise<void> {
    const deadline = this.busyDeadline();
    while (findNode(this.#host.sql, node)?.status === "in_progress") await this.newsOf(node, deadline);
  }

  /** Waits for news of a running node: more of its text, or its end. Refuses once the deadline has passed. */
  async newsOf(node: number, deadline: number): Promise<void> {
    const left = deadline - this.#host.now();
    if (left <= 0) throw answersAnother();
    const { rung, stop } = this.bell.wait(node);
    await Promise.race([rung, this.#host.sleep(Math.min(left, 250))]);
    stop();
  }

  /** Ends what runs at a node early. Resolves once nothing does; refuses where there is no room to write its end now. */
  async stop(node: number): Promise<void> {
    const run = this.#byNode.get(node);
    if (!run) return;
    await this.#stop(run);
    if (run.busy) throw run.busy;
  }

  /**
   * Stops what is in progress at a node or behind it, since it computes with text that `erase` takes away, and calls that in
   * the same tick in which nothing is: what began while the others were being stopped is stopped too. What there is no room
   * to end as it should fails.
   */
  async stopFrom<Result>(node: number, erase: () => Result): Promise<Result> {
    for (let round = 0; round < STOP_ROUNDS; round++) {
      this.takeOver();
      const runs = [...new Set(this.#byNode.values())].filter(({ nodes }) =>
        nodes.some((id) => isAtOrBehind(this.#host.sql, id, node)),
      );
      if (runs.length === 0) return erase();
      await Promise.all(runs.map((run) => this.#stop(run)));
      for (const run of runs) if (run.busy) await this.#fail(run, deletedUnder());
    }
    throw answersAnother();
  }

  async stopAll(): Promise<void> {
    for (const run of new Set(this.#byNode.values())) await this.#stop(run);
  }

  /** Lets the turns that wait for their next segment compute it; resolves when all of them pause again or have ended. */
  async computeSegments(): Promise<void> {
    const waiting = new Set([...this.#byNode.values()].filter(({ begin }) => begin !== null));
    await Promise.all([...waiting].map((run) => this.#continue(run)));
    if (!this.isIdle) this.#host.wakeAt(this.#host.now() + HEARTBEAT_MILLISECONDS);
  }

  #register(nodes: readonly number[], whenUnread: Run["whenUnread"]): Run {
    const run: Run = {
      nodes,
      whenUnread,
      readers: 0,
      isCancelled: false,
      busy: null,
      done: Promise.resolve(),
      onPause: () => undefined,
      begin: null,
    };
    for (const node of nodes) {
      this.#byNode.set(node, run);
      this.#lost.delete(node);
    }
    this.#host.wakeAt(this.#host.now() + HEARTBEAT_MILLISECONDS);
    return run;
  }

  /** Computes a turn to its end; after an error from the log again, since most errors pass (storage, a load that broke off). */
  async #drive(run: Run, begun: Ready | null): Promise<void> {
    let lastError: unknown = null;
    try {
      for (let attempt = 0, ready = begun; ; attempt++, ready = null) {
        try {
          ready ??= await this.#takeUp(run);
          if (ready) await this.#compute(run, ready);
          return;
        } catch (error) {
          if (error instanceof LeaseLost) {
            for (const node of run.nodes) this.#lost.add(node);
            return;
          }
          // It stays in progress until there is room.
          if (error instanceof BusyError) {
            run.busy = error;
            return this.#host.wakeAt(this.#host.now() + 1000 * error.retryAfterSeconds);
          }
          const isGivenUp = error instanceof GivenUp || attempt >= MAX_ATTEMPTS;
          if (isGivenUp) return await this.#fail(run, lastError ?? error);
          this.#host.report("a response is computed again from its log", error);
          lastError = error;
        }
      }
    } finally {
      this.#forget(run);
      // Whoever waits for the run waits for its end, not for this: what could not be done is done at a later wake-up.
      await this.#afterRun().catch((error) => this.#host.report("what follows a response was not done", error));
    }
  }

  /** Makes the turn this instance's own. null: it is over. */
  async #takeUp(run: Run): Promise<Ready | null> {
    const { sql, models } = this.#host;
    const running = () =>
      run.nodes.map((id) => findNode(sql, id)).filter((node) => node?.status === "in_progress") as Node[];
    const nodes = running();
    if (nodes.length === 0) return null;
    if (nodes.some(({ attempts }) => attempts >= MAX_ATTEMPTS))
      throw new GivenUp(`given up after ${MAX_ATTEMPTS} attempts that made no progress`);
    const loaded = await models.load((nodes[0].request as StoredRequest).model);
    if (nodes.some(({ log }) => log?.digest !== loaded.digest))
      throw new GivenUp("the model was replaced while the response was being generated");
    const admission = models.admit(loaded, turnNeeds(nodes.length));
    try {
      // The new epoch fences off whoever ran it before, should it still be alive somewhere.
      const epochs = sql.transaction(() => {
        for (const { id } of running())
          sql.exec("UPDATE node SET epoch = epoch + 1, attempts = attempts + 1 WHERE id = ?", id);
        return epochsOf(sql, run.nodes);
      });
      return { loaded, admission, epochs };
    } catch (error) {
      admission.release();
      throw error;
    }
  }

  async #compute(run: Run, { loaded, admission, epochs }: Ready): Promise<void> {
    const host = {
      sql: this.#host.sql,
      digest: this.#host.digest,
      now: () => this.#host.now(),
      segmentTokens: (model: LoadedModel) => this.#host.segmentTokens(model),
      nextSegment: () => this.#waitForSegment(run),
      changed: (node: number) => this.bell.ring(node),
      prefilled: (node: number, done: number, total: number) => {
        this.#prefills.set(node, { done, total });
        this.bell.ring(node);
      },
    };
    try {
      await runChoices(host, loaded, admission, epochs, () => run.isCancelled);
    } catch (error) {
      discardTrapped(this.#host.models, loaded, error);
      throw error;
    } finally {
      admission.release();
    }
  }

  async #fail(run: Run, error: unknown): Promise<void> {
    await endAsFailed(this.#host, run.nodes, error);
    for (const node of run.nodes) this.bell.ring(node);
  }

  #forget(run: Run): void {
    for (const node of run.nodes) {
      if (this.#byNode.get(node) === run) this.#byNode.delete(node);
      this.#prefills.delete(node);
      this.bell.ring(node);
    }
    run.onPause();
  }

  async #stop(run: Run): Promise<void> {
    run.isCancelled = true;
    if (run.begin) void this.#continue(run);
    await run.done;
  }

  #waitForSegment(run: Run): Promise<void> {
    const begun = new Promise<void>((resolve) => {
      run.begin = resolve;
    });
    run.onPause();
    this.#host.wakeAt(this.#host.now());
    return begun;
  }

  #continue(run: Run): Promise<void> {
    const paused = new Promise<void>((resolve) => {
      run.onPause = resolve;
    });
    run.begin?.();
    run.begin = null;
    return paused;
  }
}

function answersAnother(): RefusedError {
  return new RefusedError(
    409,
    "conversation_busy",
    "the conversation is answering another request: wait for that response, cancel it, or branch from an earlier one",
    { retryAfterSeconds: 1 },
  );
}

const deletedUnder = () =>
  new RefusedError(409, "response_deleted", "something that the response goes on from was deleted: ask again");

function isAtOrBehind(sql: Sql, id: number, node: number): boolean {
  for (const at of idsUp(sql, id)) {
    if (at === node) return true;
    if (at < node) return false; // parents have lower numbers
  }
  return false;
}

/** The fencing token of each node, as this instance holds it from now on. */
function epochsOf(sql: Sql, nodes: readonly number[]): Epochs {
  return new Map(nodes.map((id) => [id, findNode(sql, id)?.epoch ?? 0]));
}
