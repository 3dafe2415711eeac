/** Mistakes that would cost a user their data, made on purpose. Each must be caught by a test that is named here. */

export interface Mutant {
  readonly mistake: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly from: string;
  readonly to: string;
  readonly caughtBy: string;
  /** A test's name, where the file has slow others. */
  readonly only?: string;
}

const turns = "test/conversation/turns.test.ts";

export const mutants: readonly Mutant[] = [
  {
    mistake: "a turn is committed before its last ids are in the log",
    file: "shared/conversation/runner.ts",
    from: "    this.#flush();\n    this.#output.end();",
    to: "    this.#output.end();",
    caughtBy: turns,
  },
  {
    mistake: "whoever was replaced may go on writing",
    file: "shared/conversation/runner.ts",
    from: "throw new LeaseLost(this.#node.id);\n  }",
    to: "return;\n  }",
    caughtBy: "test/conversation/side-by-side.test.ts",
  },
  {
    mistake: "a stop string stays in the state",
    file: "shared/conversation/runner.ts",
    from: "if (consumed > kept) {",
    to: "if (consumed > kept + 1000) {",
    caughtBy: turns,
  },
  {
    mistake: "a stop string stays in the log",
    file: "shared/conversation/runner.ts",
    from: "const kept = isCut ? settled : ids.length;",
    to: "const kept = ids.length;",
    caughtBy: turns,
  },
  {
    mistake: "a new conversation gets the memory of the one before",
    file: "shared/backend/wasm/states.ts",
    from: "else bytes.fill(0);",
    to: "",
    caughtBy: "test/conversation/bleed.test.ts",
  },
  {
    mistake: "a state that leaves its slot is not kept",
    file: "shared/backend/wasm/states.ts",
    from: "leaving.outside = this.read(leaving);",
    to: "",
    caughtBy: "test/conversation/bleed.test.ts",
  },
  {
    mistake: "ids are taken without their MAC",
    file: "shared/api/secrets.ts",
    from: "return found.length >= SHORTEST_MAC_BYTES && sameBytes(found, expected.subarray(0, found.length));",
    to: "return found.length <= expected.length;",
    caughtBy: "test/api/ids.test.ts",
  },
  {
    mistake: "an id's MAC is not of its tenant",
    file: "shared/api/ids.ts",
    from: 'const mac = (await secrets.mac("id", target.kind, tenant, payload))',
    to: 'const mac = (await secrets.mac("id", target.kind, "", payload))',
    caughtBy: "test/api/ids.test.ts",
  },
  {
    mistake: "state files are taken without their MAC",
    file: "shared/conversation/state-file.ts",
    from: "if (!isEqual(mac, await expected.sign(signed)))",
    to: "if (mac.length === 0)",
    caughtBy: "test/conversation/state-file.test.ts",
  },
  {
    mistake: "a state with NaN in it is taken",
    file: "shared/conversation/state-file.ts",
    from: "    checkFinite(layout, sections.state as Uint8Array);\n",
    to: "",
    caughtBy: "test/conversation/state-file.test.ts",
  },
  {
    mistake: "damaged rows are believed",
    file: "shared/conversation/checkpoints.ts",
    from: "return (await digest(bytes)) === row.sha256 ? bytes : null;",
    to: "return bytes;",
    caughtBy: turns,
  },
  {
    mistake: "a wake-up starts what is running already",
    file: "shared/conversation/runs.ts",
    from: "      .filter((id) => !this.#byNode.has(id))\n",
    to: "",
    caughtBy: "test/conversation/side-by-side.test.ts",
  },
  {
    mistake: "two requests with one idempotency key both run",
    file: "shared/conversation/conversation.ts",
    from: "      if (this.#repeated(request)) return null;\n",
    to: "",
    caughtBy: turns,
  },
  {
    mistake: "a deleted response's tokens stay",
    file: "shared/conversation/erase.ts",
    from: "  deleteIds(sql, id);\n  cutOff(sql, id);",
    to: "  cutOff(sql, id);",
    caughtBy: "test/conversation/fault-injection.test.ts",
    only: "a response's deletion",
  },
  {
    mistake: "states that were computed from deleted text stay",
    file: "shared/conversation/erase.ts",
    from: '    sql.exec("UPDATE node SET cut = 1 WHERE id = ?", node.id);\n',
    to: "",
    caughtBy: turns,
  },
  {
    mistake: "the policy drops a state that can't be rebuilt",
    file: "shared/conversation/retention.ts",
    from: "!pinned && rank >= NEWEST_KEPT",
    to: "rank >= NEWEST_KEPT",
    caughtBy: "test/conversation/state-parts.test.ts",
  },
  {
    mistake: "a revoked key works",
    file: "shared/conversation/tenant-store.ts",
    from: "revoked_at IS NULL",
    to: "1 = 1",
    caughtBy: "test/conversation/tenant-store.test.ts",
  },
  {
    mistake: "a rejoined stream repeats an event",
    file: "shared/api/response-stream.ts",
    from: "if (encoded.sequence_number <= after) continue;",
    to: "if (encoded.sequence_number < after) continue;",
    caughtBy: "test/api/responses.test.ts",
  },
];
