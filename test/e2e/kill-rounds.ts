/**
 * Kills the runtime in the middle of what it does, again and again, and says what clients then see. Each round asks for
 * something, kills workerd at an instant, starts it again, and compares everything with the same request run uninterrupted.
 */

import { ENDLESS } from "./default-model.ts";
import { ask } from "./http.ts";
import { Arena, type KillReport } from "./kill-arena.ts";
import { checkBooks } from "./kill-disk.ts";
import { playOperation } from "./kill-operations.ts";
import { NEEDED, type Phase, scenarios, segmentSecondsOf } from "./kill-phases.ts";
import {
  chatReference,
  plans,
  type Reference,
  responseReference,
  type ShortReference,
  shortReference,
} from "./kill-plans.ts";
import { playChat, playResponse } from "./kill-replies.ts";
import { objectIds } from "./object-files.ts";

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Begins no round after so many. Default: all are played. */
  readonly seconds?: number;
  readonly onRound?: (line: string) => void;
}

const samplings = [0, 1].map((temperature) => ({ temperature, seed: 7100, logit_bias: ENDLESS }));

export async function killRounds({
  rounds,
  seed,
  seconds = Number.POSITIVE_INFINITY,
  onRound,
}: KillOptions): Promise<KillReport> {
  const end = performance.now() + 1000 * seconds;
  const arena = await Arena.open(seed);
  try {
    const play = await playerOf(arena);
    for (let round = 0; round < rounds && performance.now() < end; round++) {
      arena.name = `seed ${seed} round ${round}`;
      const problems = arena.report.problems.length;
      const line = await play(round);
      arena.report.rounds++;
      const found = arena.report.problems.length - problems;
      onRound?.(`round ${round}: ${line}${found === 0 ? "" : `, ${found} PROBLEMS`}`);
    }
    arena.name = `seed ${seed}, after all rounds`;
    for (const object of objectIds(arena.persist, "Conversation"))
      await checkBooks(arena.persist, object, arena.problem);
    return arena.report;
  } finally {
    await arena.close();
  }
}

/** Phases that were hit less often than `times`. */
export const missed = ({ phases, operations }: KillReport, times: number): string[] =>
  [...NEEDED.map((phase) => [phase, phases[phase]] as const), ...Object.entries(operations)].flatMap(([name, count]) =>
    count < times ? [`${name}: hit ${count} times, expected at least ${times}`] : [],
  );

/** What happens in a round, by its number; the references are made before. */
async function playerOf(arena: Arena): Promise<(round: number) => Promise<string>> {
  const { runtime, key, report } = arena;
  await ask(runtime, key, "POST", "/v1/responses", { input: "Hello.", max_output_tokens: 1 }); // weights are loaded
  const responses: Reference[] = [];
  const chats: Reference[] = [];
  for (const plan of plans) {
    responses.push(await responseReference(arena, plan));
    chats.push(await chatReference(arena, plan));
  }
  const shorts: ShortReference[] = [];
  for (const sampling of samplings) shorts.push(await shortReference(arena, sampling));

  return async (round) => {
    const cycle = Math.floor(round / scenarios.length);
    const scenario = scenarios[round % scenarios.length];
    const { operation, aim } = scenario;
    await arena.arm(segmentSecondsOf(scenario));
    let phases: Phase[];
    if (operation === "response" || operation === "chat") {
      const wished = (cycle + round) % plans.length;
      const at = aim === "prefill" && !plans[wished].isLong ? (wished + 1) % plans.length : wished;
      const [plan, reference] = [plans[at], (operation === "chat" ? chats : responses)[at]];
      const kills = aim === "anywhere" || cycle % 4 === 3 ? 2 : 1; // the second time while it recovers
      const game = { arena, scenario, cycle, kills, plan, reference };
      phases = await (operation === "chat" ? playChat(game) : playResponse(game));
    } else {
      const at = (cycle + round) % samplings.length;
      phases = await playOperation({ arena, scenario, cycle, sampling: samplings[at], reference: shorts[at] });
    }
    report.operations[operation]++;
    return `${operation}, aimed at ${aim}, hit ${phases.join(", ")}`;
  };
}
