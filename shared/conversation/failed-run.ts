/** How a turn ends that can't be computed: as `failed`, so that nobody waits for it, with the text that readers saw. */

import { collectSoon, deleteCheckpoint } from "./checkpoints.ts";
import { changeMeta } from "./meta.ts";
import type { LoadedModel, ModelSource } from "./model-source.ts";
import { findNode } from "./nodes.ts";
import { loggedText } from "./readers.ts";
import { refusalOf } from "./refusal.ts";
import type { Sql } from "./sql.ts";
import { isTrap } from "./traps.ts";

interface FailureHost {
  readonly sql: Sql;
  readonly models: ModelSource;
  now(): number;
  report(what: string, error: unknown): void;
}

/** Writes the end of those of the nodes that are still in progress. */
export async function endAsFailed(host: FailureHost, nodes: readonly number[], error: unknown): Promise<void> {
  host.report("a response failed", error);
  try {
    // What readers saw is kept. Without the model that said it nobody can tell what it was.
    const model = findNode(host.sql, nodes[0])?.request?.model;
    const loaded = model === undefined ? null : await loadedOrNull(host, model);
    writeFailure(host, nodes, error, loaded);
  } catch (storageError) {
    // It stays in progress: the next call or wake-up takes it over.
    host.report("a failed response was not written", storageError);
  }
}

async function loadedOrNull(host: FailureHost, model: string): Promise<LoadedModel | null> {
  try {
    return await host.models.load(model);
  } catch (error) {
    host.report("a failed response ends without its text", error);
    return null;
  }
}

function writeFailure(host: FailureHost, nodes: readonly number[], error: unknown, loaded: LoadedModel | null): void {
  const { sql } = host;
  const code = isTrap(error) ? "kernel_trap" : "server_error";
  const message = refusalOf(error)?.message ?? "the response could not be computed: ask again";
  const now = Math.floor(host.now() / 1000);
  sql.transaction(() => {
    for (const id of nodes) {
      const node = findNode(sql, id);
      if (node?.status !== "in_progress") continue;
      deleteCheckpoint(sql, id); // of a segment: nobody continues what failed
      collectSoon(sql);
      sql.exec(
        "UPDATE node SET status = 'failed', completed_at = ?, error = ?, output = ?, kept = 0 WHERE id = ?",
        now,
        JSON.stringify({ code, message }),
        loaded && loggedText(sql, loaded, node),
        id,
      );
    }
    changeMeta(sql, host.now(), { ended: nodes });
  });
}
