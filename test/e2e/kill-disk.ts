/** What a killed process left on disk: nothing torn, and the tenant's books agree with its conversations. */

import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import type { UsageTotals } from "../../shared/conversation/tenant-types.ts";
import { checkInvariants } from "../conversation/invariants.ts";
import { objectIds, withObjectCopy } from "./object-files.ts";

type Problem = (what: string) => void;

export function checkIntegrity(sql: Sql, problem: Problem): void {
  const [{ integrity_check: found }] = sql.exec("PRAGMA integrity_check");
  if (found !== "ok") problem(`integrity_check: ${found}`);
}

/** A conversation's database between any two transactions. */
export function checkConversation(sql: Sql, loaded: LoadedModel, when: string, problem: Problem): void {
  checkIntegrity(sql, problem);
  for (const what of checkInvariants(sql, loaded)) problem(`${when}: ${what}`);
}

interface Books {
  readonly usage: UsageTotals;
  readonly isForgotten: boolean;
  readonly branches: readonly number[];
}

/** Every object of the tenant class, among them the shards of its prefixes: all have the same tables. */
export function checkTenants(persist: string, problem: Problem): void {
  for (const id of objectIds(persist, "Tenant")) {
    withObjectCopy(persist, "Tenant", id, (sql) => {
      if (!hasTable(sql, "catalogue")) return;
      checkIntegrity(sql, problem);
      for (const what of tenantProblems(sql)) problem(`the tenant: ${what}`);
    });
  }
}

/** The lists are those of the rows, claims lead to objects that are known, and no count is below zero. */
function tenantProblems(sql: Sql): string[] {
  const problems: string[] = [];
  const listed = new Set(sql.exec("SELECT object, branch FROM listed").map((row) => `${row.object} ${row.branch}`));
  for (const { object, branches, forgotten_at, turns, input_tokens, cached_tokens, output_tokens } of sql.exec(
    "SELECT * FROM catalogue",
  )) {
    for (const count of [turns, input_tokens, cached_tokens, output_tokens])
      if (!Number.isSafeInteger(count) || (count as number) < 0) problems.push(`${object}: a usage of ${count}`);
    for (const [branch, , isListed] of JSON.parse(branches as string) as number[][]) {
      if (isListed && forgotten_at !== null) problems.push(`${object}: forgotten, but its row lists ${branch}`);
      if (listed.delete(`${object} ${branch}`) !== (isListed === 1))
        problems.push(`${object}: whether ${branch} is listed, its row and the list disagree`);
    }
  }
  for (const entry of listed) problems.push(`${entry}: listed, but in no row`);
  return problems;
}

/** What the tenant's own object says of a conversation; null: it does not know it. */
function booksOf(persist: string, object: string): Books | null {
  for (const id of objectIds(persist, "Tenant")) {
    const books = withObjectCopy(persist, "Tenant", id, (sql): Books | null => {
      const [row] = hasTable(sql, "catalogue") ? sql.exec("SELECT * FROM catalogue WHERE object = ?", object) : [];
      if (!row) return null;
      return {
        usage: {
          turns: Number(row.turns),
          inputTokens: Number(row.input_tokens),
          cachedTokens: Number(row.cached_tokens),
          outputTokens: Number(row.output_tokens),
        },
        isForgotten: row.forgotten_at !== null,
        branches: sql
          .exec("SELECT branch FROM listed WHERE object = ? ORDER BY branch", object)
          .map(({ branch }) => branch as number),
      };
    });
    if (books) return books;
  }
  return null;
}

/** How many claims of idempotency keys lead to an object. */
export function claimsOf(persist: string, object: string): number {
  return objectIds(persist, "Tenant").reduce(
    (sum, id) =>
      sum +
      withObjectCopy(persist, "Tenant", id, (sql) =>
        hasTable(sql, "claims") ? sql.exec("SELECT 1 FROM claims WHERE object = ?", object).length : 0,
      ),
    0,
  );
}

/** Whoever exists is in the catalogue: else nothing would ever delete it. */
export function checkKnown(persist: string, object: string, problem: Problem): void {
  const isBegun = withObjectCopy(
    persist,
    "Conversation",
    object,
    (sql) => hasTable(sql, "meta") && readMeta(sql) !== null,
  );
  if (isBegun && booksOf(persist, object) === null) problem(`the tenant does not know the object ${object}`);
}

/** What a note or a deletion left undone is done by the object's alarm, 30 s later. */
const SETTLE_MS = 40_000;

/** Soon the tenant's books say what the conversation's own say, or that it is forgotten. */
export async function checkBooks(persist: string, object: string, problem: Problem): Promise<void> {
  let difference = "";
  for (const end = Date.now() + SETTLE_MS; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const books = booksOf(persist, object);
    difference = withObjectCopy(persist, "Conversation", object, (sql) => differenceOf(sql, books));
    if (difference === "") return;
  }
  problem(`the tenant's books: ${difference}`);
}

function differenceOf(sql: Sql, books: Books | null): string {
  const meta = hasTable(sql, "meta") ? readMeta(sql) : null;
  if (!meta) return books && !books.isForgotten ? "list an object that is gone" : "";
  if (!books || books.isForgotten) return "do not list an object that exists";
  const branches = sql.exec("SELECT id FROM branch ORDER BY id").map(({ id }) => id as number);
  const [own, theirs] = [
    { usage: meta.usage, branches },
    { usage: books.usage, branches: books.branches },
  ];
  return JSON.stringify(own) === JSON.stringify(theirs)
    ? ""
    : `expected ${JSON.stringify(own)}, found ${JSON.stringify(theirs)}`;
}

export const hasTable = (sql: Sql, name: string): boolean =>
  sql.exec("SELECT 1 FROM sqlite_master WHERE name = ?", name).length > 0;
