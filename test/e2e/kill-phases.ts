/** Where kills are to hit, and how they are steered there: by what a client hears, or by a hold on the Worker. */

import type { Arming, Hold } from "./hold.ts";

/** What was going on when the process was killed. */
export const PHASES = [
  "before begin",
  "prefill",
  "decode",
  "between log and event",
  "commit",
  "segment alarm",
  "state import",
  "fork",
  "deletion",
  "between turns",
] as const;
export type Phase = (typeof PHASES)[number];

/** Phases that a run has to hit; "between turns" is where a kill lands that came too late. */
export const NEEDED = PHASES.filter((phase) => phase !== "between turns");

export type Operation = "response" | "chat" | "state import" | "fork" | "deletion" | "erasure";

/** What a round does, and where its first kill is aimed. */
export interface Scenario {
  readonly operation: Operation;
  readonly aim: Exclude<Phase, "between turns"> | "anywhere";
}

/** Thirteen rounds do each once. */
export const scenarios: readonly Scenario[] = [
  { operation: "response", aim: "prefill" },
  { operation: "chat", aim: "decode" },
  { operation: "response", aim: "between log and event" },
  { operation: "erasure", aim: "deletion" },
  { operation: "state import", aim: "state import" },
  { operation: "response", aim: "segment alarm" },
  { operation: "chat", aim: "commit" },
  { operation: "fork", aim: "fork" },
  { operation: "response", aim: "commit" },
  { operation: "deletion", aim: "deletion" },
  { operation: "response", aim: "before begin" },
  { operation: "chat", aim: "between log and event" },
  { operation: "response", aim: "anywhere" },
];

/** Little compute per event: a turn of a few hundred tokens passes through several alarms. */
const SEGMENT_SECONDS = 0.01;

const INSTANTS = ["inside", "written", "durable"] as const;

/** For a whole round: objects keep what they had when they were opened. */
export const segmentSecondsOf = ({ aim }: Scenario): { segmentSeconds?: number } =>
  aim === "segment alarm" ? { segmentSeconds: SEGMENT_SECONDS } : {};

/** null: chance, or what the client hears, says when. `cycle` counts how often the scenario was played before. */
export function armingFor({ operation, aim }: Scenario, cycle: number, random: () => number): Arming | null {
  const upTo = (count: number) => 1 + Math.floor(random() * count);
  const instant = INSTANTS[cycle % INSTANTS.length];
  const inConversation = (statement: string, count: number, rest: Partial<Hold> = {}): Arming => ({
    hold: { object: "Conversation", statement, count, instant, ...rest },
  });
  const inTenant = (statement: string): Arming => ({ hold: { object: "Tenant", statement, count: 1, instant } });
  switch (aim) {
    case "anywhere":
      return null;
    case "prefill": // every other time by what a client hears of it
      return cycle % 2 === 0 ? inConversation("^INSERT INTO log", 1, { instant: "durable" }) : null;
    case "decode":
      return cycle % 2 === 0 ? inConversation("^INSERT INTO log", 2 + upTo(2), { instant: "inside" }) : null;
    case "before begin":
      return cycle % 2 === 0 ? inTenant("INTO claims") : inConversation("^INSERT INTO node", 1, { instant: "inside" });
    case "between log and event": // the first row is the prompt's
      return inConversation("^INSERT INTO log", 1 + upTo(3), { instant: "durable" });
    case "commit":
      return inConversation("^UPDATE node SET status = \\?", 1);
    case "segment alarm":
      return {
        ...segmentSecondsOf({ operation: "response", aim }),
        ...inConversation("^UPDATE node SET .*processed = ", upTo(2), { duringAlarm: true }),
      };
    case "state import":
      return inConversation("^INSERT", upTo(5));
    case "fork":
      return inConversation("^(INSERT|UPDATE)", upTo(2));
    case "deletion": {
      if (operation === "erasure") {
        const at = INSTANTS[(Math.floor(cycle / 3) + 2) % INSTANTS.length];
        // The tenant's list, the object's rows, its storage.
        const holds = [inTenant("^DELETE FROM listed"), inConversation("^DELETE", 1), inConversation("^deleteAll$", 1)];
        return { hold: { ...(holds[cycle % 3].hold as Hold), instant: at } };
      }
      const kind = Math.floor(cycle / 2) % 4; // every other cycle deletes a conversation, see kill-operations.ts
      if (cycle % 2 === 1 || kind < 2) return inConversation("^\\s*(DELETE|UPDATE)", upTo(2));
      return kind === 2 ? inTenant("INTO catalogue") : inConversation("^deleteAll$", 1);
    }
    default:
      return aim satisfies never;
  }
}
