/** What holds of a conversation's database at every instant, between any two transactions; and what holds right behind an erasure. */

import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { findNode, isFinished, type Node } from "../../shared/conversation/nodes.ts";
import { systemOf, systemText, withoutInstructions } from "../../shared/conversation/prompt.ts";
import { type Sql, type SqlRow, unpackNumbers } from "../../shared/conversation/sql.ts";
import { ringShape } from "../../shared/conversation/state-parts.ts";
import { MAX_NODE_TOKENS, readIds } from "../../shared/conversation/token-log.ts";
import { OutputText } from "../../shared/output-text.ts";

/**
 * The list:
 *  1. the log of every node is one piece: its first row begins at 0, every other one where the one before it ends;
 *  2. a running node has its prompt and at most `maxTokens` output ids; a finished one has its prompt and at least the ids it
 *     keeps, a usage that counts them, a time, the text that its ids say, and the system text of its path; a failed one an
 *     error; an erased one no text and no ids;
 *  3. parents and the nodes whose logs are continued exist, and are older; a log begins where the one it continues ends;
 *  4. a checkpoint's node exists and has a log, its position is not behind the end of that log, its parts exist, are what was
 *     written, have the sizes that the model asks for, and cover the window before the position without a gap;
 *  5. heads of branches exist; there is no row of a log, checkpoint or idempotency key for a node that does not exist;
 *  6. choices of one turn are all there; the row about the object names exactly the nodes that run.
 * Returns what does not hold. Texts and sizes are the model's to know: they are not looked at without it.
 */
export function checkInvariants(sql: Sql, loaded: LoadedModel | null): string[] {
  if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'node'").length === 0) return [];
  const problems: string[] = [];
  const expect = (holds: boolean, what: string) => {
    if (!holds) problems.push(what);
  };
  const nodes = new Map(
    sql.exec("SELECT id FROM node").map(({ id }) => [id as number, findNode(sql, id as number) as Node]),
  );
  const lengths = logLengths(sql, nodes, expect);
  for (const node of nodes.values()) checkNode(sql, node, nodes, lengths.get(node.id) ?? 0, expect);
  checkSystem(nodes, expect);
  if (loaded) for (const node of nodes.values()) checkText(sql, node, loaded, expect);
  for (const id of lengths.keys()) expect(nodes.has(id), `log ${id}: there is no such node`);
  checkCheckpoints(sql, nodes, loaded, expect);
  for (const { id, head } of sql.exec("SELECT id, head FROM branch"))
    expect(head === null || nodes.has(head as number), `branch ${id}: its head ${head} does not exist`);
  for (const { nodes: list } of sql.exec("SELECT nodes FROM idempotency"))
    for (const id of JSON.parse(list as string) as number[])
      expect(nodes.has(id), `idempotency: node ${id} does not exist`);
  const meta = readMeta(sql);
  expect(nodes.size === 0 || meta !== null, "meta: there are nodes, but no row about the object");
  const running = [...nodes.values()].flatMap(({ id, status }) => (status === "in_progress" ? [id] : []));
  expect(
    isDeepStrictEqual([...(meta?.running ?? [])].sort(), running.sort()),
    `meta: ${meta?.running} are said to run, ${running} do`,
  );
  return problems;
}

/**
 * Parts that no checkpoint names. Between turns there are some, which wait to be collected; right behind an erasure there are
 * none: they may be states of what was erased.
 */
export function unnamedParts(sql: Sql): number[] {
  const named = new Set(sql.exec("SELECT recurrent, segments FROM checkpoint").flatMap(partsOf));
  return sql.exec("SELECT id FROM part").flatMap(({ id }) => (named.has(id as number) ? [] : [id as number]));
}

const partsOf = ({ recurrent, segments }: SqlRow): number[] => [
  ...unpackNumbers(recurrent),
  ...unpackNumbers(segments).filter((_, at) => at % 3 === 2),
];

type Expect = (holds: boolean, what: string) => void;

/** Ids per node. */
function logLengths(sql: Sql, nodes: ReadonlyMap<number, Node>, expect: Expect): Map<number, number> {
  const lengths = new Map<number, number>();
  for (const row of sql.exec("SELECT id, length(ids) AS bytes, logprobs FROM log ORDER BY id")) {
    const node = Math.floor((row.id as number) / MAX_NODE_TOKENS);
    const index = (row.id as number) % MAX_NODE_TOKENS;
    const ids = (row.bytes as number) / 4;
    const log = nodes.get(node)?.log;
    // Where something before it was erased, a log from position 0 has lost its prompt, which held that too.
    const first = log?.isCut && log.logParent === null ? log.promptLength : 0;
    const expected = lengths.get(node) ?? first;
    expect(index === expected, `log ${node}: a row begins at ${index}, expected ${expected}`);
    expect(Number.isInteger(ids) && ids > 0, `log ${node}: a row of ${row.bytes} bytes`);
    if (row.logprobs !== null) {
      const found = (JSON.parse(row.logprobs as string) as unknown[]).length;
      expect(found === ids, `log ${node}: ${found} log-probabilities for ${ids} ids`);
    }
    lengths.set(node, index + ids);
  }
  return lengths;
}

function checkNode(sql: Sql, node: Node, nodes: ReadonlyMap<number, Node>, ids: number, expect: Expect): void {
  const { id, log, status, usage, request } = node;
  const name = `node ${id} (${status})`;
  expect(node.parent === null || (nodes.has(node.parent) && node.parent < id), `${name}: its parent ${node.parent}`);
  if (status === "erased") {
    const [row] = sql.exec("SELECT request, output, error, tail FROM node WHERE id = ?", id);
    expect(Object.values(row).every((value) => value === null) && node.input.length === 0, `${name}: has text left`);
    expect(ids === 0 && log === null, `${name}: has ${ids} ids left`);
    return;
  }
  if (log?.logParent != null) {
    const before = nodes.get(log.logParent);
    expect(before !== undefined && before.id < id, `${name}: the log it continues, ${log.logParent}, does not exist`);
    if (before?.log && !log.isCut) {
      const { start, promptLength, kept, tail } = before.log;
      expect(kept !== null, `${name}: continues a log that is not finished`);
      expect(log.start === start + promptLength + (kept ?? 0) + tail.length, `${name}: begins at ${log.start}`);
    }
  }
  if (status === "in_progress") {
    const maxTokens = request?.maxTokens ?? 0;
    expect(log !== null && log.kept === null, `${name}: a running node keeps no ids yet`);
    expect(ids >= (log?.promptLength ?? 0), `${name}: ${ids} ids, the prompt has ${log?.promptLength}`);
    expect(ids <= (log?.promptLength ?? 0) + maxTokens, `${name}: ${ids} ids are more than it may have`);
    expect(usage === null && node.completedAt === null, `${name}: has a usage or an end`);
  }
  if (isFinished(node)) {
    expect(node.completedAt !== null, `${name}: has no end`);
    if (log && !log.isCut) {
      const isWithoutLog = ids === 0 && sql.exec("SELECT pinned FROM checkpoint WHERE node = ?", id)[0]?.pinned === 1;
      const isThere = log.kept !== null && (ids >= log.promptLength + log.kept || isWithoutLog);
      expect(isThere, `${name}: ${ids} ids, keeps ${log.kept}`);
      const output = ids - log.promptLength;
      expect(!usage || usage.outputTokens === output, `${name}: ${output} output ids, usage ${usage?.outputTokens}`);
      expect(
        !usage || usage.inputTokens === log.start + log.promptLength,
        `${name}: usage says ${usage?.inputTokens} tokens of input, the log ${log.start + log.promptLength}`,
      );
    }
  }
  if (status === "failed") expect(node.error !== null && node.completedAt !== null, `${name}: has no error or no end`);
  if (node.choice > 0) expect(nodes.has(id - node.choice), `${name}: its first choice does not exist`);
}

/**
 * Instructions first, then what was said as the system from the root on; what an import brought along may be unknown. A
 * tombstone has those of the response before it, and nothing of its own.
 */
function checkSystem(nodes: ReadonlyMap<number, Node>, expect: Expect): void {
  const heard = new Map<number | null, string>();
  for (const node of [...nodes.values()].sort((a, b) => a.id - b.id)) {
    const said = systemText(heard.get(node.parent), systemOf(node.input.filter((item) => item !== null)));
    const isImported = isFinished(node) && node.usage === null;
    heard.set(node.id, isImported ? withoutInstructions(node.system, node.instructions) : said);
    const inForce = nodes.get(node.parent ?? 0)?.instructions ?? null;
    if (node.status === "erased")
      expect(node.instructions === inForce, `node ${node.id}: erased, its instructions are ${node.instructions}`);
    const isSilent = node.status === "erased" || node.status === "items";
    if (isSilent || (isFinished(node) && !isImported)) {
      const system = isSilent ? "" : systemText(node.instructions, said);
      expect(node.system === system, `node ${node.id}: its system text is ${node.system}, expected ${system}`);
    }
  }
}

function checkText(sql: Sql, { id, status, output, request, log, usage }: Node, loaded: LoadedModel, expect: Expect) {
  const isOver = status === "completed" || status === "incomplete" || status === "cancelled";
  if (!isOver || !usage || !log || !request || log.digest !== loaded.digest) return;
  const text = new OutputText(loaded.tokenizer, { stop: request.stop, eosIds: loaded.model.config.eosIds });
  const said = readIds(sql, id, log.promptLength).map((token) => text.push(token));
  const whole = said.join("") + text.end();
  expect(output === whole, `node ${id}: its text is ${JSON.stringify(output)}, its ids say ${JSON.stringify(whole)}`);
}

function checkCheckpoints(
  sql: Sql,
  nodes: ReadonlyMap<number, Node>,
  loaded: LoadedModel | null,
  expect: Expect,
): void {
  const parts = new Map(
    sql.exec("SELECT id, sha256, bytes FROM part").map((row) => {
      const isIntact = createHash("sha256")
        .update(row.bytes as Uint8Array)
        .digest("hex");
      expect(isIntact === row.sha256, `part ${row.id}: its bytes are not what its sha256 says`);
      return [row.id as number, (row.bytes as Uint8Array).length];
    }),
  );
  for (const row of sql.exec("SELECT * FROM checkpoint")) {
    const name = `checkpoint ${row.node}`;
    const node = nodes.get(row.node as number);
    const log = node?.log;
    expect(log != null && !log.isCut && node?.status !== "failed", `${name}: its node can't be continued`);
    const position = row.position as number;
    const numbers = unpackNumbers(row.segments);
    const segments = Array.from({ length: numbers.length / 3 }, (_, at) => numbers.slice(3 * at, 3 * at + 3));
    const named = partsOf(row);
    for (const part of named) expect(parts.has(part), `${name}: its part ${part} does not exist`);
    expect(new Set(named).size === named.length, `${name}: names a part twice`);
    for (const [at, [start, positions]] of segments.entries()) {
      const next = segments[at + 1]?.[0] ?? position;
      expect(start + positions === next, `${name}: segment ${at} ends at ${start + positions}, expected ${next}`);
    }
    if (loaded && row.digest === loaded.digest) {
      const { stateLayout } = loaded.model;
      const { window, bytesPerPosition } = ringShape(stateLayout);
      const first = Math.max(0, position - window);
      const begins = segments[0]?.[0] ?? position;
      expect(begins <= first, `${name}: its segments begin at ${begins}, the window at ${first}`);
      for (const [start, positions, part] of segments) {
        const bytes = parts.get(part);
        expect(bytes === positions * bytesPerPosition, `${name}: segment ${start} of ${positions} has ${bytes} bytes`);
      }
      const recurrent = unpackNumbers(row.recurrent).reduce((sum, part) => sum + (parts.get(part) ?? 0), 0);
      expect(recurrent === stateLayout.recurrentBytes, `${name}: ${recurrent} bytes of its recurrent part`);
    }
    if (!log) continue;
    // A replay that is cut into segments leaves states of earlier positions, and so does a cancel in the middle of a prompt.
    const end =
      log.kept === null ? Number.POSITIVE_INFINITY : log.start + log.promptLength + log.kept + log.tail.length;
    expect(position > 0 && position <= end, `${name}: position ${position}, its log ends at ${end}`);
  }
}
