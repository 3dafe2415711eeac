/** Ids and API keys: whatever has a right MAC was made here, letter for letter. */

import fc from "fast-check";
import { createIds } from "../../shared/api/ids.ts";
import { createKey, readKey } from "../../shared/api/keys.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import type { IdTarget } from "../../shared/api/services.ts";
import { changedText } from "./mutations.ts";
import { type AnyParser, entry, mustBe, mustEqual, type Verdict } from "./parser.ts";

const secrets = createSecrets("5e".repeat(32));
const ids = createIds(secrets);
const kinds = ["conversation", "response", "item"] as const;

const target: fc.Arbitrary<IdTarget> = fc
  .record({
    kind: fc.constantFrom(...kinds),
    object: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex")),
    number: fc.oneof(fc.nat(9), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    index: fc.integer({ min: -1, max: 2 ** 15 - 1 }),
  })
  .map(({ kind, object, number, index }) =>
    kind === "item" ? { kind, object, number, index } : { kind, object, number },
  );

interface IdCase {
  readonly target: IdTarget;
  readonly change: (id: string) => string;
  readonly asked: { readonly tenant: string; readonly kind: IdTarget["kind"] };
}

/** Little of an id may be changed without a sign of it: its last letter's spare bits, its case, its prefix. */
const change: fc.Arbitrary<(id: string) => string> = fc.oneof(
  fc.constant((id: string) => id),
  fc.tuple(fc.nat(99), fc.constantFrom(..."AB_-cz09= /+%\u0000é")).map(([at, letter]) => (id: string) => {
    const place = at % id.length;
    return id.slice(0, place) + letter + id.slice(place + 1);
  }),
  fc
    .constantFrom(...kinds.map((kind) => ({ conversation: "conv_", response: "resp_", item: "msg_" })[kind]))
    .map((prefix) => (id: string) => prefix + id.slice(id.indexOf("_") + 1)),
  fc.nat(99).map((length) => (id: string) => id.slice(0, length)),
  fc.string({ unit: "binary", maxLength: 90 }).map((text) => (id: string) => id.slice(0, 5) + text),
);

async function judgeId({ target, change, asked }: IdCase): Promise<Verdict> {
  const genuine = await ids.encode("alice", target);
  const id = change(genuine);
  const found = await ids.decode(asked.tenant, asked.kind, id);
  if (found === null) {
    mustBe(
      !(id === genuine && asked.tenant === "alice" && asked.kind === target.kind),
      "…no: a genuine id was refused",
    );
    return "refused";
  }
  mustEqual([id, asked, found], [genuine, { tenant: "alice", kind: target.kind }, target], "nobody made this id");
  return "accepted";
}

export async function idParsers(): Promise<readonly AnyParser[]> {
  const keys = await Promise.all(
    ["alice", "bob", "default"].map(async (tenant) => (await createKey(secrets, tenant)).key),
  );
  const asked = fc.record({ tenant: fc.constantFrom("alice", "alice", "bob", ""), kind: fc.constantFrom(...kinds) });
  return [
    entry({ name: "ids", inputs: fc.record({ target, change, asked }), judge: judgeId }),
    entry({
      name: "API keys",
      inputs: fc.oneof(
        changedText(keys),
        fc.constantFrom(...keys).map((key) => key.toUpperCase()),
        fc.string({ maxLength: 120 }),
      ),
      async judge(key: string): Promise<Verdict> {
        const found = await readKey(secrets, key);
        if (typeof found === "string") {
          mustBe(!keys.includes(key), "…no: a genuine key was refused");
          return "refused";
        }
        mustBe(keys.includes(key), "nobody made this key");
        mustEqual(found.tenant, key.split("-")[1], "its tenant is another");
        return "accepted";
      },
    }),
  ];
}
