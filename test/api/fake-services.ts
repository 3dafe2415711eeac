/** Services in memory, for the routes' tests: a model that repeats what it was told, word by word. */

import { ApiError } from "../../shared/api/api-error.ts";
import type { BundleFile, Ids, IdTarget, Services } from "../../shared/api/services.ts";
import type { StatelessPrompt, StatelessRequest } from "../../shared/conversation/stateless-types.ts";
import type { UsageTotals } from "../../shared/conversation/tenant-types.ts";
import type { TurnEvent } from "../../shared/conversation/types.ts";
import { FakeConversation, pieces, record, refuse, wordCount } from "./fake-conversation.ts";

export const MODEL = "parrot";
export const KEYS: Readonly<Record<string, string>> = { "sk-alice": "alice", "sk-bob": "bob" };

export class FakeServices implements Services {
  readonly models = [
    { id: MODEL, createdAt: 1_700_000_000, ownedBy: "aerie", isDefault: true, isDownloadable: true },
    { id: "other", createdAt: 1_700_000_001, ownedBy: "you", isDefault: false },
  ];
  readonly objects = new Map<string, FakeConversation>(); // by tenant/object
  readonly registered = new Map<string, string[]>(); //      by tenant
  readonly prefixRows = new Map<string, { object: string; node: number; expiresAt: number | null }>();
  readonly claims = new Map<string, { requestHash: string; target: { object: string; node: number | null } }>();
  readonly statelessRequests: StatelessRequest[] = [];
  readonly reported: unknown[] = [];
  /** Object ids that were looked at: a forged id must not be among them. */
  readonly touched: string[] = [];
  isOverLimit = false;
  statelessAborts = 0;
  #objects = 0;
  #drawn = 0n;

  async authenticate(authorization: string | null) {
    const tenant = KEYS[authorization?.replace(/^Bearer /, "") ?? ""];
    if (!tenant) throw new ApiError(401, "invalid_api_key", "Incorrect API key provided.");
    return { tenant, keyId: "k1" };
  }
  /** The parrot's one file has the bytes 0 … 9. */
  bundleFile = async (model: string, file: string): Promise<BundleFile | null> => {
    if (model !== MODEL || file !== "feathers.bin") return null;
    const bytes = Uint8Array.from({ length: 10 }, (_, at) => at);
    const stream = async (offset: number, length: number) =>
      new Blob([bytes.slice(offset, offset + length)]).stream() as ReadableStream<Uint8Array>;
    return { bytes: bytes.length, sha256: "f".repeat(64), stream };
  };
  withinRateLimit = async () => !this.isOverLimit;

  readonly ids: Ids = {
    async encode(tenant, target) {
      const prefix = { conversation: "conv", response: "resp", item: "msg" }[target.kind];
      return `${prefix}_${Buffer.from(JSON.stringify([tenant, target])).toString("base64url")}`;
    },
    async decode(tenant, kind, id) {
      try {
        const [owner, target] = JSON.parse(Buffer.from(id.split("_")[1] ?? "", "base64url").toString());
        return owner === tenant && target.kind === kind ? (target as IdTarget) : null;
      } catch {
        return null;
      }
    },
  };
  newObject = () => `object${++this.#objects}`;

  conversation(tenant: string, object: string): FakeConversation {
    this.touched.push(object);
    const key = `${tenant}/${object}`;
    let conversation = this.objects.get(key);
    if (!conversation) {
      conversation = new FakeConversation(() => this.registered.get(tenant)?.includes(object) ?? false);
      this.objects.set(key, conversation);
    }
    return conversation;
  }

  tenant(tenant: string) {
    const objects = () => this.registered.get(tenant) ?? [];
    const unused = async () => {
      throw new Error("not part of the API");
    };
    return {
      addKey: unused,
      listKeys: unused,
      revokeKey: unused,
      holdsKey: unused,
      note: unused,
      register: async (object: string) => {
        if (!objects().includes(object)) this.registered.set(tenant, [...objects(), object]);
      },
      forget: async (object: string) => {
        this.registered.set(
          tenant,
          objects().filter((one) => one !== object),
        );
      },
      conversations: async ({ limit, order, after }: { limit: number; order: string; after?: { object: string } }) => {
        const all = objects().flatMap((object) =>
          this.conversation(tenant, object).branches.map(({ branch, createdAt }) => ({ object, branch, createdAt })),
        );
        if (order === "desc") all.reverse();
        const from = after ? all.findIndex(({ object }) => object === after.object) + 1 : 0;
        return { conversations: all.slice(from, from + limit), hasMore: all.length > from + limit };
      },
      objects: async (after: string | null, limit: number) => {
        const from = after === null ? 0 : objects().indexOf(after) + 1;
        return objects().slice(from, from + limit);
      },
      usage: async (): Promise<UsageTotals> => ({ turns: 2, inputTokens: 30, cachedTokens: 10, outputTokens: 5 }),
      claim: async (key: string, requestHash: string, target: { object: string; node: number | null }) => {
        const row = this.claims.get(`${tenant}/${key}`);
        if (row) return row.requestHash === requestHash ? row.target : ("conflict" as const);
        this.claims.set(`${tenant}/${key}`, { requestHash, target });
        return target;
      },
      unclaim: async (key: string, requestHash: string) => {
        if (this.claims.get(`${tenant}/${key}`)?.requestHash === requestHash) this.claims.delete(`${tenant}/${key}`);
      },
    };
  }

  prefixes(tenant: string) {
    return {
      findPrefix: async (hash: string) => this.prefixRows.get(`${tenant}/${hash}`) ?? null,
      putPrefix: async (hash: string, target: { object: string; node: number }, expiresAt: number | null) => {
        this.prefixRows.set(`${tenant}/${hash}`, { ...target, expiresAt });
      },
      forgetPrefixes: async () => {},
    };
  }

  readonly stateless = {
    run: (request: StatelessRequest, signal: AbortSignal) => this.#run(request, signal),
    tokenize: async (_model: string, text: string) => [...Buffer.from(text)],
    detokenize: async (_model: string, tokens: readonly number[]) => Buffer.from(tokens).toString(),
  };

  async *#run(request: StatelessRequest, signal: AbortSignal): AsyncGenerator<TurnEvent> {
    this.statelessRequests.push(request);
    const saidIn = (prompt: StatelessPrompt): string =>
      prompt.kind === "chat"
        ? (prompt.input.at(-1)?.content ?? "")
        : prompt.kind === "text"
          ? prompt.text
          : prompt.tokens.join(" ");
    const all = request.prompts.flatMap((prompt) => Array<string>(request.choices).fill(saidIn(prompt)));
    if (all.some((said) => said.includes("refuse"))) throw refuse(429, "server_busy", "No room.");
    for (const node of all.keys()) {
      yield { type: "start", response: record({ node, request, input: [] }) };
    }
    for (const [node, said] of all.entries()) {
      const texts = pieces(said, request);
      for (const [ordinal, piece] of texts.entries()) {
        if (said.includes("slow")) await new Promise((resolve) => setTimeout(resolve, 20));
        if (signal.aborted) {
          this.statelessAborts++;
          return;
        }
        yield { type: "text", node, ordinal, ...piece };
      }
      const response = record({ node, request, input: [], texts, inputTokens: wordCount(said) });
      yield { type: "end", texts: texts.length, response };
    }
  }

  hmac = async (purpose: string, text: string) => `${purpose}:${text}`;
  drawSeed = () => 2n ** 62n + 12345n + this.#drawn++; // never the same one twice
  now = () => 1_800_000_000_000;
  report = (error: unknown) => void this.reported.push(error);
}
