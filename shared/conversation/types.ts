/** What goes in and out of a conversation: plain data, so that it can cross an RPC boundary or lie in a row. */

/** One message, as it was given. */
export interface InputItem {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** Options of the sampler as JSON: the seed is a decimal string, biases are [token, bias] pairs. */
export interface SamplingRecord {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly typicalP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: readonly (readonly [number, number])[];
  readonly seed: string;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
}

/** What a turn continues. */
export type Parent =
  | { readonly kind: "root" } // a new conversation
  /** That response; a branch if it was continued before. `isVerbatim`: 404 if anything said up to its end was deleted. */
  | { readonly kind: "node"; readonly node: number; readonly isVerbatim?: boolean }
  | { readonly kind: "branch"; readonly branch: number }; // the newest response of a conversation

/** One request for a reply, checked. */
export interface TurnRequest {
  readonly parent: Parent;
  readonly model: string;
  /** The system text. undefined: as in the parent. A text that differs from the parent's is folded in by replay from the root. */
  readonly instructions?: string;
  /** What is said before the reply; `system` only where nothing was said before. At least one item unless the branch has unanswered ones. */
  readonly input: readonly InputItem[];
  readonly sampling: SamplingRecord;
  /** Most tokens to generate, from 1. */
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** How many replies, each a response of its own, from 1. */
  readonly choices: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Listed and kept for 30 days, or unlisted and gone after one. */
  readonly stored: boolean;
  readonly background: boolean;
  /** What becomes of the turn when the last reader of its events leaves before the end. */
  readonly whenUnread: "stop" | "go on";
  readonly idempotency?: { readonly key: string; readonly requestHash: string };
}

export type ResponseStatus = "in_progress" | "completed" | "incomplete" | "cancelled" | "failed";

/** Tokens of one response. */
export interface Usage {
  /** Everything before the reply: the whole conversation and this turn's input. */
  readonly inputTokens: number;
  /** Those of them that no model pass had to process: `inputTokens − cachedTokens` were counted inside `forward`. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** Tokens that went through the model, counted inside `forward`: input that was not cached, and the output. */
  readonly processedTokens: number;
}

/** The log-probability of an output token and of the likeliest ones at its place. */
export interface LogprobRecord {
  readonly token: number;
  readonly text: string; // U+FFFD where its bytes are no whole characters
  readonly bytes: readonly number[];
  readonly logprob: number;
  readonly top: readonly Omit<LogprobRecord, "top">[];
}

/** A response as it stands. */
export interface ResponseRecord {
  readonly node: number;
  readonly parent: number | null;
  readonly branch: number | null;
  readonly status: ResponseStatus;
  readonly createdAt: number; //           seconds since 1970
  readonly completedAt: number | null;
  readonly model: string;
  /** Of the model's bundle: the same one, the same replies. null where its tokens were erased. */
  readonly modelDigest: string | null;
  readonly instructions: string | null;
  readonly input: readonly InputItem[];
  /** The text so far; "" once erased. */
  readonly output: string;
  /** Why it ended: `stop` (end token or stop string) or `length`; null where it did not end by itself. */
  readonly finishReason: "stop" | "length" | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly usage: Usage | null; // null before the end
  readonly logprobs: readonly LogprobRecord[] | null;
  readonly sampling: SamplingRecord;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly stored: boolean;
  readonly background: boolean;
}

/**
 * What a reader of a turn sees. `text` events and their ordinals are a pure function of the token log: the same whenever
 * and however often they are read.
 */
export type TurnEvent =
  /** First of each response's events. */
  | { readonly type: "start"; readonly response: ResponseRecord }
  /** Not part of the log: tokens of the prompt that are processed, of those that have to be. */
  | { readonly type: "prefill"; readonly node: number; readonly done: number; readonly total: number }
  /** The `ordinal`-th piece of text, from 0. */
  | {
      readonly type: "text";
      readonly node: number;
      readonly ordinal: number;
      readonly text: string;
      readonly logprobs?: readonly LogprobRecord[];
    }
  /** Last of each response's events, once everything is committed. `texts` pieces came before it. */
  | { readonly type: "end"; readonly texts: number; readonly response: ResponseRecord };

/** A refusal that a caller can do something about, as data: errors lose their class on the way through RPC. */
export interface Refusal {
  readonly status: 400 | 404 | 408 | 409 | 413 | 429 | 500 | 503;
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly retryAfterSeconds?: number;
}

export type Answer<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: Refusal };

/** A turn that has begun: nothing of it can be lost any more. */
export interface BegunTurn {
  /** One per choice, in order. */
  readonly responses: readonly ResponseRecord[];
  /** The turn had been begun by an earlier request with the same idempotency key. */
  readonly repeated: boolean;
  /** NDJSON of `TurnEvent`s, from the first on; with `quiet`, only the `end` events. */
  readonly events: ReadableStream<Uint8Array>;
}

export interface BranchRecord {
  readonly branch: number;
  readonly createdAt: number;
  readonly head: number | null;
  readonly metadata: Readonly<Record<string, string>>;
}

/** One message of a conversation, in order. */
export interface ConversationItem {
  readonly node: number;
  /** 0, 1, … the node's input items; −1 its reply. */
  readonly index: number;
  readonly role: InputItem["role"];
  readonly content: string;
  readonly status: "completed" | "incomplete" | "in_progress";
}

export interface ItemPage {
  readonly items: readonly ConversationItem[];
  readonly hasMore: boolean;
}

export interface ItemQuery {
  readonly order: "asc" | "desc";
  readonly limit: number;
  /** Goes on behind this item. */
  readonly after?: { readonly node: number; readonly index: number };
}

/** A line of what a tenant exports. */
export type ExportRecord =
  | { readonly type: "branch"; readonly branch: BranchRecord }
  | { readonly type: "response"; readonly response: ResponseRecord }
  /** Messages without a reply: added without asking for one, or left when the reply was deleted. */
  | {
      readonly type: "items";
      readonly branch: number | null;
      readonly createdAt: number;
      readonly items: readonly ConversationItem[];
    };

/**
 * Everything a conversation's object answers to. The Durable Object implements it by RPC, Node and the browser in
 * process: the HTTP routes see only this.
 */
export interface ConversationPort {
  /** Begins a turn and hands out its events. Repeated with the same idempotency key, it joins the turn that began first. */
  turn(request: TurnRequest, options: { readonly quiet: boolean }): Promise<Answer<BegunTurn>>;
  /** A response as it stands, or a refusal with status 404. */
  response(node: number): Promise<Answer<ResponseRecord>>;
  /** Its events from the beginning, finished or not: readers skip what they have seen. */
  events(node: number, options: { readonly quiet: boolean }): Promise<Answer<ReadableStream<Uint8Array>>>;
  /** Ends a turn early; what was generated stays. A turn that is over is left as it is. */
  cancel(node: number): Promise<Answer<ResponseRecord>>;
  /** Erases a response's texts and tokens. Where others continue it, a tombstone stays and their states are rebuilt without it. */
  deleteResponse(node: number): Promise<Answer<null>>;
  /** The items that came before a response's reply, oldest first unless asked otherwise. */
  inputItems(node: number, query: ItemQuery): Promise<Answer<ItemPage>>;

  /** A named line of responses. `node` starts it at a response that exists already: a fork, at the cost of one row. */
  createBranch(options: {
    readonly node: number | null;
    readonly items: readonly InputItem[];
    readonly metadata: Readonly<Record<string, string>>;
  }): Promise<Answer<BranchRecord>>;
  branch(branch: number): Promise<Answer<BranchRecord>>;
  updateBranch(branch: number, metadata: Readonly<Record<string, string>>): Promise<Answer<BranchRecord>>;
  /** Erases the line, stored responses in it too: all that no other branch and no response behind it, outside it, needs. */
  deleteBranch(branch: number): Promise<Answer<null>>;
  items(branch: number, query: ItemQuery): Promise<Answer<ItemPage>>;
  item(branch: number, node: number, index: number): Promise<Answer<ConversationItem>>;
  /** Messages without a reply: the next turn goes on behind them. */
  addItems(branch: number, items: readonly InputItem[]): Promise<Answer<readonly ConversationItem[]>>;
  /** Takes one message out; the state is rebuilt without it. Refused with 409 where another branch has the message too. */
  deleteItem(branch: number, node: number, index: number): Promise<Answer<BranchRecord>>;

  /** The state file of a branch's head (shared/conversation/FORMAT.md). */
  exportState(branch: number): Promise<Answer<ReadableStream<Uint8Array>>>;
  /** Makes the state in a file the branch's new head. */
  importState(branch: number, file: ReadableStream<Uint8Array>): Promise<Answer<BranchRecord>>;
  /** Everything that is kept here, as NDJSON of `ExportRecord`s. */
  exportAll(): Promise<Answer<ReadableStream<Uint8Array>>>;
  /** Erases everything. */
  destroy(): Promise<void>;
}
