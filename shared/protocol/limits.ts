/** How much one request may ask for. Bounds are checked at the border, before anything is computed. */

/** A JSON body. About 250,000 tokens of English: more than a turn can prefill in a reasonable time. */
export const MAX_JSON_BYTES = 1024 * 1024;
/** A state file: a fixed-size state (under 20 MiB for the largest model an isolate carries) and its token log. */
export const MAX_STATE_FILE_BYTES = 32 * 1024 * 1024;
/** Brackets within brackets. The deepest legal request needs 5; parsers further in may recurse. */
export const MAX_JSON_DEPTH = 32;

/**
 * Members of an object and elements of a list, far beyond what any parameter may have: a body has room for so many more that
 * schemas would be busy with them.
 */
export const MAX_JSON_MEMBERS = 4096;
export const MAX_JSON_ELEMENTS = 2 ** 18;

export const MAX_MESSAGES = 4096;
export const MAX_PROMPT_TOKEN_IDS = 131_072;
/** Replies of one request: each one is a state in memory and a full decode. OpenAI allows 128. */
export const MAX_CHOICES = 8;
/** About an hour on a slow core. */
export const MAX_OUTPUT_TOKENS = 16_384;
/** Without a bound given. OpenAI stops at the context's end, which a model of fixed state does not have: a small model that
 *  never finds its end token would go on for ever at the caller's cost. */
export const DEFAULT_OUTPUT_TOKENS = 1024;
/** /v1/completions stops here without a bound given, as OpenAI's does. */
export const DEFAULT_COMPLETION_TOKENS = 16;

/** OpenAI's bound. Every one of them is looked for at every token. */
export const MAX_STOPS = 4;
export const MAX_STOP_CHARACTERS = 256;
export const MAX_LOGIT_BIASES = 1024;
/** OpenAI's bounds. */
export const MAX_METADATA_PAIRS = 16;
export const MAX_METADATA_KEY = 64;
export const MAX_METADATA_VALUE = 512;
/** Items in one call to /v1/conversations: OpenAI's bound. */
export const MAX_ITEMS_PER_CALL = 20;
/**
 * Of one request: output tokens of all choices, each with its likeliest others. A hundred bytes each, all of them in one
 * message between objects (32 MiB) and in one reply.
 */
export const MAX_LOGPROBS = 100_000;
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;
export const MAX_IDEMPOTENCY_KEY = 255;
