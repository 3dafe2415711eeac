/** Token counts in the words of each resource. */

import type { LogprobRecord, ResponseRecord, Usage } from "../conversation/types.ts";
import type { ChatLogprobs, CompletionUsage } from "../protocol/chat.ts";
import type { CompletionLogprobs } from "../protocol/completions.ts";
import type { OutputLogprob, ResponseObject } from "../protocol/response-events.ts";

/** Of one prompt with several replies: the prompt counts once, and what any of them had to process was not cached. */
export function completionUsage(responses: readonly Pick<ResponseRecord, "usage">[]): CompletionUsage {
  const usages = responses.flatMap(({ usage }) => (usage ? [usage] : []));
  const prompt = usages[0]?.inputTokens ?? 0;
  const processed = usages.reduce((sum, usage) => sum + usage.inputTokens - usage.cachedTokens, 0);
  const output = usages.reduce((sum, usage) => sum + usage.outputTokens, 0);
  const throughModel = usages.reduce((sum, usage) => sum + usage.processedTokens, 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: Math.max(0, prompt - processed) },
    processed_tokens: throughModel,
  };
}

/** Of several prompts. */
export function sumUsage(usages: readonly CompletionUsage[]): CompletionUsage {
  const sum = (count: (usage: CompletionUsage) => number) => usages.reduce((total, usage) => total + count(usage), 0);
  return {
    prompt_tokens: sum((usage) => usage.prompt_tokens),
    completion_tokens: sum((usage) => usage.completion_tokens),
    total_tokens: sum((usage) => usage.total_tokens),
    prompt_tokens_details: { cached_tokens: sum((usage) => usage.prompt_tokens_details.cached_tokens) },
    processed_tokens: sum((usage) => usage.processed_tokens),
  };
}

export function responseUsage(usage: Usage | null): ResponseObject["usage"] {
  return (
    usage && {
      input_tokens: usage.inputTokens,
      input_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: 0 },
      output_tokens: usage.outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.inputTokens + usage.outputTokens,
      processed_tokens: usage.processedTokens,
    }
  );
}

export function outputLogprobs(records: readonly LogprobRecord[] | null | undefined): OutputLogprob[] {
  return (records ?? []).map((record) => ({ ...tokenJson(record), top_logprobs: record.top.map(tokenJson) }));
}

export function chatLogprobs(records: readonly LogprobRecord[] | null | undefined): ChatLogprobs {
  return records ? { content: outputLogprobs(records), refusal: null } : null;
}

/** The older form, parallel lists. `offset`: characters of text before the first of them. */
export function completionLogprobs(
  records: readonly LogprobRecord[] | null | undefined,
  offset: number,
): CompletionLogprobs {
  if (!records) return null;
  let at = offset;
  return {
    tokens: records.map(({ text }) => text),
    token_logprobs: records.map(({ logprob }) => logprob),
    top_logprobs: records.map(({ top }) => Object.fromEntries(top.map(({ text, logprob }) => [text, logprob]))),
    text_offset: records.map(({ text }) => {
      const start = at;
      at += text.length;
      return start;
    }),
  };
}

function tokenJson({ text, logprob, bytes }: Omit<LogprobRecord, "top">) {
  return { token: text, logprob, bytes: [...bytes] };
}
