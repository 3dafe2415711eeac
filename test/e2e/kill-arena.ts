/** What rounds are played in: a runtime that is killed and started again, its database, and the report. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { unweightedModel } from "./default-model.ts";
import { ARMING_PATH, type Arming, HELD_LINE } from "./hold.ts";
import { ask, randomOf } from "./http.ts";
import { type Gate, openGate } from "./kill-clients.ts";
import { checkTenants } from "./kill-disk.ts";
import { type Operation, PHASES, type Phase } from "./kill-phases.ts";
import { Runtime } from "./runtime.ts";

export interface KillReport {
  rounds: number;
  kills: number;
  readonly phases: Record<Phase, number>;
  readonly operations: Record<Operation, number>;
  /** Events that clients had before a kill, and after all. */
  acknowledgedBefore: number;
  acknowledged: number;
  /** Requests that had to be sent again because they died before they were answered. */
  retried: number;
  /** What is wrong; empty is good. */
  readonly problems: string[];
}

/** Longer than anything that a hold waits for. */
const HOLD_MS = 120_000;

/** Told when the Worker says that it stands still. */
interface Held {
  onReached: () => void;
}

export class Arena {
  readonly runtime: Runtime;
  readonly persist: string;
  readonly key: string;
  readonly random: () => number;
  /** To read databases with. */
  readonly loaded: LoadedModel;
  readonly report: KillReport = {
    rounds: 0,
    kills: 0,
    phases: Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>,
    operations: { response: 0, chat: 0, "state import": 0, fork: 0, deletion: 0, erasure: 0 },
    acknowledgedBefore: 0,
    acknowledged: 0,
    retried: 0,
    problems: [],
  };
  /** Shut while there is no server. */
  readonly gate: Gate = openGate();
  name = ""; // of the round
  #workerd = 0; // process id
  #reached: Promise<void> = Promise.resolve();
  readonly #held: Held;

  static async open(seed: number): Promise<Arena> {
    const persist = mkdtempSync(join(tmpdir(), "aerie-kill-"));
    const held: Held = { onReached: () => undefined };
    const onLog = (line: string) => {
      if (line === HELD_LINE) held.onReached();
      else if (!line.startsWith('{"event":"turn"')) console.log(line);
    };
    const runtime = await Runtime.start({ persist, requestsPerMinute: 1_000_000, isHeld: true, onLog });
    return new Arena(runtime, persist, await runtime.key("killed"), randomOf(seed), await unweightedModel(), held);
  }

  private constructor(
    runtime: Runtime,
    persist: string,
    key: string,
    random: () => number,
    loaded: LoadedModel,
    held: Held,
  ) {
    this.runtime = runtime;
    this.persist = persist;
    this.key = key;
    this.random = random;
    this.loaded = loaded;
    this.#held = held;
  }

  readonly problem = (what: string): void => {
    this.report.problems.push(`${this.name}: ${what}`);
  };

  /** The process is looked up now: the search takes longer than many a phase. */
  async arm(arming: Arming): Promise<void> {
    await ask(this.runtime, null, "POST", ARMING_PATH, { ...arming });
    this.#reached = new Promise((resolve) => {
      this.#held.onReached = resolve;
    });
    this.#workerd = this.runtime.workerdPid();
  }

  /** true: the Worker stands where it was told to. */
  async held(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), HOLD_MS);
    });
    const isHeld = await Promise.race([this.#reached.then(() => true), tooLong]);
    clearTimeout(timer);
    if (!isHeld) this.problem(`what it was to be killed at was not reached within ${HOLD_MS} ms`);
    return isHeld;
  }

  /** Kills, lets `look` see what the next process will find, and starts it. Clients go on behind the gate. */
  async kill(look: () => Phase, arming: Arming = {}): Promise<Phase> {
    this.gate.close();
    await this.runtime.kill(this.#workerd);
    this.report.kills++;
    const phase = look();
    this.report.phases[phase]++;
    checkTenants(this.persist, this.problem);
    await this.runtime.start();
    await this.arm(arming);
    return phase;
  }

  async close(): Promise<void> {
    await this.runtime.stop();
    rmSync(this.persist, { recursive: true, force: true });
  }
}
