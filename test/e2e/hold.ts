/** At which instant the Worker under test stands still, so that it can be killed right there. Kept apart: both sides speak it. */

export interface Hold {
  /** Whose storage is watched. */
  readonly object: "Conversation" | "Tenant";
  /** A regular expression: the `count`-th statement that matches is meant, from 1. "deleteAll" is that call. */
  readonly statement: string;
  readonly count: number;
  /**
   * Right before the statement, in the middle of its transaction; behind the transaction, before the storage has it on disk;
   * or once it is there, before anybody outside the object is told.
   */
  readonly instant: "inside" | "written" | "durable";
  /** Only statements while the object's alarm is being handled. */
  readonly duringAlarm?: boolean;
}

/** What the Worker is told before a round. */
export interface Arming {
  /** Compute per event of objects that are opened from now on. Absent: as deployed. */
  readonly segmentSeconds?: number;
  readonly hold?: Hold;
}

/** Where it is told. */
export const ARMING_PATH = "/held/arming";

/** What the Worker logs when it stands still. */
export const HELD_LINE = '{"event":"held"}';
