/** A conversation in memory that answers as the contract says; its replies repeat the last message. */

import type {
  Answer,
  BegunTurn,
  BranchRecord,
  ConversationItem,
  ConversationPort,
  ExportRecord,
  InputItem,
  ItemQuery,
  Refusal,
  ResponseRecord,
  TurnEvent,
  TurnRequest,
} from "../../shared/conversation/types.ts";

interface Piece {
  readonly text: string;
  readonly logprobs?: NonNullable<ResponseRecord["logprobs"]>;
}

type Asked = Pick<TurnRequest, "model" | "sampling" | "maxTokens" | "stop" | "metadata"> & Partial<TurnRequest>;

export const wordCount = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;

/** "echo: " and the message, word by word, as far as the request lets it go. */
export function pieces(said: string, { sampling, maxTokens, stop }: Asked): Piece[] {
  let text = `echo: ${said}`;
  for (const end of stop) if (text.includes(end)) text = text.slice(0, text.indexOf(end));
  const words = text.match(/\S+\s*/g) ?? [];
  return words.slice(0, maxTokens).map((word) => {
    const token = { token: word.length, text: word, bytes: [...Buffer.from(word)], logprob: -0.5 };
    const top = Array.from({ length: sampling.topLogprobs }, (_, i) => ({ ...token, text: `${word}${i}` }));
    return sampling.logprobs ? { text: word, logprobs: [{ ...token, top }] } : { text: word };
  });
}

export function record(options: {
  readonly node: number;
  readonly request: Asked;
  readonly input: readonly InputItem[];
  readonly parent?: number | null;
  readonly branch?: number | null;
  readonly texts?: readonly Piece[];
  readonly status?: ResponseRecord["status"];
  readonly inputTokens?: number;
  readonly cachedTokens?: number;
}): ResponseRecord {
  const { node, request, input, texts } = options;
  const isCut = texts && texts.length >= request.maxTokens;
  const status = options.status ?? (texts ? (isCut ? "incomplete" : "completed") : "in_progress");
  const inputTokens = options.inputTokens ?? 0;
  const cachedTokens = options.cachedTokens ?? 0;
  const outputTokens = texts?.length ?? 0;
  return {
    node,
    parent: options.parent ?? null,
    branch: options.branch ?? null,
    status,
    createdAt: 1_800_000_000,
    completedAt: texts ? 1_800_000_001 : null,
    model: request.model,
    modelDigest: "0123456789abcdef".repeat(4),
    instructions: request.instructions ?? null,
    input,
    output: (texts ?? []).map(({ text }) => text).join(""),
    finishReason: texts ? (isCut ? "length" : "stop") : null,
    error: null,
    usage: texts
      ? { inputTokens, cachedTokens, outputTokens, processedTokens: inputTokens - cachedTokens + outputTokens }
      : null,
    logprobs: texts && request.sampling.logprobs ? texts.flatMap(({ logprobs }) => logprobs ?? []) : null,
    sampling: request.sampling,
    maxTokens: request.maxTokens,
    stop: request.stop,
    metadata: request.metadata,
    stored: request.stored ?? false,
    background: request.background ?? false,
  };
}

export function refuse(status: Refusal["status"], code: string, message: string, param: string | null = null) {
  return Object.assign(new Error(message), { refusal: { status, code, message, param } });
}

interface Node {
  response: ResponseRecord;
  readonly events: TurnEvent[];
  readonly ended: Promise<void>;
  isCancelled: boolean;
  cut: number; // streams break off after so many events, once
}

export class FakeConversation implements ConversationPort {
  readonly nodes: Node[] = [];
  readonly branches: (BranchRecord & { items: InputItem[]; deleted: Set<string> })[] = [];
  readonly turns: TurnRequest[] = [];
  readonly repeats = new Map<string, number[]>();
  isDestroyed = false;
  isBusy = false;
  /** The next stream breaks off after so many events. */
  breakAfter = Number.POSITIVE_INFINITY;
  readonly #isRegistered: () => boolean;

  constructor(isRegistered: () => boolean) {
    this.#isRegistered = isRegistered;
  }

  async turn(request: TurnRequest, { quiet }: { quiet: boolean }): Promise<Answer<BegunTurn>> {
    if (!this.#isRegistered()) throw new Error("an object was written to that its tenant does not know of");
    this.turns.push(request);
    if (this.isBusy) return no(409, "conversation_busy", "Another turn runs here.");
    const repeated = request.idempotency && this.repeats.get(request.idempotency.key);
    if (repeated) return yes(this.#begun(repeated, quiet, true));
    const { parent } = request;
    if (parent.kind === "node" && !this.#kept(parent.node)) return no(404, "response_not_found", "It is gone.");
    const branch = parent.kind === "branch" ? this.branches[parent.branch] : undefined;
    if (parent.kind === "branch" && !branch) return no(404, "conversation_not_found", "It is gone.");
    const from = parent.kind === "node" ? parent.node : (branch?.head ?? null);
    const input = [...(branch?.items.splice(0) ?? []), ...request.input];
    const said = input.at(-1)?.content ?? "";
    if (said.includes("refuse")) return no(429, "server_busy", "No room.");
    if (input.findLast(({ role }) => role !== "system")?.role !== "user") {
      return no(400, "invalid_value", "input: expected a user message at the end", "input");
    }
    if (said.includes("explode")) throw new Error("secret internals at /etc/passwd");
    const before = this.#tokensThrough(from);
    const inputTokens = before + input.reduce((sum, { content }) => sum + wordCount(content), 0);
    const numbers = Array.from({ length: request.choices }, () => {
      const node = this.nodes.length;
      const about = { node, request, input, parent: from, branch: branch ? branch.branch : null };
      const started = record(about);
      const state: Node = { response: started, events: [], ended: Promise.resolve(), isCancelled: false, cut: 0 };
      this.nodes.push(state);
      state.events.push({ type: "start", response: started });
      Object.assign(state, { ended: this.#compute(state, about, said, { inputTokens, cachedTokens: before }) });
      return node;
    });
    if (branch) Object.assign(branch, { head: numbers[0] });
    if (request.idempotency) this.repeats.set(request.idempotency.key, numbers);
    return yes(this.#begun(numbers, quiet, false));
  }

  async #compute(
    state: Node,
    about: Omit<Parameters<typeof record>[0], "texts">,
    said: string,
    tokens: { inputTokens: number; cachedTokens: number },
  ): Promise<void> {
    const all = pieces(said, about.request);
    const texts: Piece[] = [];
    state.events.push({ type: "prefill", node: about.node, done: 1, total: 2 });
    for (const [ordinal, piece] of all.entries()) {
      await new Promise((resolve) => setTimeout(resolve, said.includes("slow") ? 20 : 0));
      if (state.isCancelled) break;
      texts.push(piece);
      state.events.push({ type: "text", node: about.node, ordinal, ...piece });
    }
    const status = state.isCancelled ? "cancelled" : said.includes("fail") ? "failed" : undefined;
    const response = record({ ...about, ...tokens, texts, ...(status ? { status } : {}) });
    const error = status === "failed" ? { code: "model_broken", message: "The model broke." } : null;
    state.response = { ...response, error, ...(status ? { finishReason: null } : {}) };
    state.events.push({ type: "end", texts: texts.length, response: state.response });
  }

  #begun(numbers: readonly number[], quiet: boolean, repeated: boolean): BegunTurn {
    const stops = this.turns.at(-1)?.whenUnread === "stop";
    const onCancel = () => {
      if (stops) for (const node of numbers) this.nodes[node].isCancelled = true;
    };
    const cut = this.breakAfter;
    this.breakAfter = Number.POSITIVE_INFINITY;
    return {
      responses: numbers.map((node) => this.nodes[node].response),
      repeated,
      events: this.#stream(numbers, quiet, onCancel, cut),
    };
  }

  #stream(numbers: readonly number[], quiet: boolean, onCancel = () => {}, cut = Number.POSITIVE_INFINITY) {
    const states = numbers.map((node) => ({ state: this.nodes[node], at: 0 }));
    let left = cut;
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        for (;;) {
          if (left-- <= 0) return controller.error(new Error("connection lost"));
          let isOver = true;
          for (const reader of states) {
            const event = reader.state.events[reader.at];
            if (event) {
              reader.at++;
              if (quiet && event.type !== "end") {
                isOver = false;
                continue;
              }
              return controller.enqueue(Buffer.from(`${JSON.stringify(event)}\n`));
            }
            if (reader.state.events.at(-1)?.type !== "end") isOver = false;
          }
          if (isOver) return controller.close();
          left++;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      },
      cancel: onCancel,
    });
  }

  async response(node: number) {
    const kept = this.#kept(node);
    return kept ? yes(kept.response) : no(404, "response_not_found", "There is no such response.");
  }
  async events(node: number, { quiet }: { quiet: boolean }) {
    return this.#kept(node) ? yes(this.#stream([node], quiet)) : no(404, "response_not_found", "No such response.");
  }
  async cancel(node: number) {
    const kept = this.#kept(node);
    if (!kept) return no(404, "response_not_found", "There is no such response.");
    kept.isCancelled = true;
    await kept.ended;
    return yes(kept.response);
  }
  async deleteResponse(node: number) {
    if (!this.#kept(node)) return no(404, "response_not_found", "There is no such response.");
    delete this.nodes[node];
    return yes(null);
  }
  async inputItems(node: number, query: ItemQuery) {
    return this.#kept(node)
      ? yes(page(this.#itemsThrough(node, false), query))
      : no(404, "response_not_found", "Gone.");
  }

  async createBranch(options: { node: number | null; items: readonly InputItem[]; metadata: Record<string, string> }) {
    if (!this.#isRegistered()) throw new Error("an object was written to that its tenant does not know of");
    if (options.node !== null && !this.#kept(options.node)) return no(404, "response_not_found", "It is gone.");
    const branch = { branch: this.branches.length, createdAt: 1_800_000_000, head: options.node };
    this.branches.push({ ...branch, metadata: options.metadata, items: [...options.items], deleted: new Set() });
    return this.branch(branch.branch);
  }
  async branch(branch: number): Promise<Answer<BranchRecord>> {
    const found = this.isDestroyed ? undefined : this.branches[branch];
    if (!found) return no(404, "conversation_not_found", "There is no such conversation.");
    const { createdAt, head, metadata } = found;
    return yes({ branch, createdAt, head, metadata });
  }
  async updateBranch(branch: number, metadata: Record<string, string>) {
    if (this.branches[branch]) Object.assign(this.branches[branch], { metadata });
    return this.branch(branch);
  }
  async deleteBranch(branch: number) {
    if (!this.branches[branch]) return no(404, "conversation_not_found", "There is no such conversation.");
    delete this.branches[branch];
    return yes(null);
  }
  async items(branch: number, query: ItemQuery) {
    return this.branches[branch] ? yes(page(this.#itemsOf(branch), query)) : no(404, "conversation_not_found", "Gone.");
  }
  async item(branch: number, node: number, index: number) {
    const found =
      this.branches[branch] && this.#itemsOf(branch).find((one) => one.node === node && one.index === index);
    return found ? yes(found) : no(404, "item_not_found", "There is no such item.");
  }
  async addItems(branch: number, items: readonly InputItem[]) {
    if (!this.branches[branch]) return no(404, "conversation_not_found", "There is no such conversation.");
    this.branches[branch].items.push(...items);
    return yes(this.#itemsOf(branch).slice(-items.length));
  }
  async deleteItem(branch: number, node: number, index: number) {
    const found = await this.item(branch, node, index);
    if (!found.ok) return found;
    this.branches[branch].deleted.add(`${node}.${index}`);
    return this.branch(branch);
  }

  async exportState(branch: number) {
    return this.branches[branch] ? yes(bytes("state of a branch")) : no(404, "conversation_not_found", "Gone.");
  }
  async importState(branch: number, file: ReadableStream<Uint8Array>): Promise<Answer<BranchRecord>> {
    if (!this.branches[branch]) return no(404, "conversation_not_found", "Gone.");
    const text = await new Response(file).text();
    return text === "state of a branch" ? this.branch(branch) : no(400, "invalid_state_file", "Not a state file.");
  }
  async exportAll() {
    const records: ExportRecord[] = [];
    for (const one of this.branches) if (one) records.push({ type: "branch", branch: one });
    for (const one of this.nodes) if (one) records.push({ type: "response", response: one.response });
    return yes(bytes(records.map((one) => `${JSON.stringify(one)}\n`).join("")));
  }
  async destroy() {
    this.isDestroyed = true;
    this.nodes.length = 0;
    this.branches.length = 0;
  }

  #kept(node: number): Node | undefined {
    return this.isDestroyed ? undefined : this.nodes[node];
  }
  #tokensThrough(node: number | null): number {
    const usage = node === null ? null : this.nodes[node]?.response.usage;
    return usage ? usage.inputTokens + usage.outputTokens : 0;
  }
  #itemsThrough(node: number | null, withReply = true): ConversationItem[] {
    const kept = node === null ? undefined : this.nodes[node];
    if (node === null || !kept) return [];
    const { parent, input, output } = kept.response;
    const common = { node, status: "completed" } as const;
    const own = input.map(({ role, content }, index) => ({ ...common, index, role, content }));
    const reply = { ...common, index: -1, role: "assistant", content: output } as const;
    return [...this.#itemsThrough(parent), ...own, ...(withReply ? [reply] : [])];
  }
  #itemsOf(branch: number): ConversationItem[] {
    const { head, items, deleted } = this.branches[branch];
    const waiting = items.map((item, index) => ({ ...item, node: 9000, index, status: "completed" }) as const);
    return [...this.#itemsThrough(head), ...waiting].filter(({ node, index }) => !deleted.has(`${node}.${index}`));
  }
}

function page(all: readonly ConversationItem[], { order, limit, after }: ItemQuery) {
  const ordered = order === "desc" ? [...all].reverse() : all;
  const from = after ? ordered.findIndex(({ node, index }) => node === after.node && index === after.index) + 1 : 0;
  return { items: ordered.slice(from, from + limit), hasMore: ordered.length > from + limit };
}

function yes<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}
function no(status: Refusal["status"], code: string, message: string, param: string | null = null) {
  return { ok: false, error: { status, code, message, param } } as const;
}
function bytes(text: string): ReadableStream<Uint8Array> {
  return new Response(text).body!;
}
