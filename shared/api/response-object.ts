/** A response as /v1/responses shows it: a pure function of its record and of the ids that name it. */

import type { ResponseRecord } from "../conversation/types.ts";
import type { OutputMessage, OutputTextPart, ResponseObject } from "../protocol/response-events.ts";
import type { Scope } from "./context.ts";
import { reportedSeed } from "./sampling.ts";
import { outputLogprobs, responseUsage } from "./usage.ts";

/** A response's name and its neighbours'. */
export interface ResponseIds {
  readonly response: string;
  readonly message: string;
  readonly conversation: string | null;
  /** null where a conversation says what came before. */
  readonly previous: string | null;
}

export async function responseIds(
  { services, tenant }: Scope,
  object: string,
  record: ResponseRecord,
): Promise<ResponseIds> {
  const { ids } = services;
  const { node, branch, parent } = record;
  const [response, message, conversation, previous] = await Promise.all([
    ids.encode(tenant, { kind: "response", object, number: node }),
    ids.encode(tenant, { kind: "item", object, number: node, index: -1 }),
    branch === null ? null : ids.encode(tenant, { kind: "conversation", object, number: branch }),
    parent === null || branch !== null ? null : ids.encode(tenant, { kind: "response", object, number: parent }),
  ]);
  return { response, message, conversation, previous };
}

/** Ids of a response that is not kept: they lead nowhere. */
export function passingIds(): ResponseIds {
  const random = crypto.randomUUID().replaceAll("-", "");
  return { response: `resp_${random}`, message: `msg_${random}`, conversation: null, previous: null };
}

export function responseObject(ids: ResponseIds, record: ResponseRecord): ResponseObject {
  const { status, sampling } = record;
  const isOver = status !== "in_progress";
  return {
    id: ids.response,
    object: "response",
    access_programs: null,
    created_at: record.createdAt,
    completed_at: record.completedAt,
    status,
    background: record.background,
    conversation: ids.conversation === null ? null : { id: ids.conversation },
    error: record.error && { code: record.error.code, message: record.error.message },
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    instructions: record.instructions,
    max_output_tokens: record.maxTokens,
    metadata: { ...record.metadata },
    model: record.model,
    output: isOver ? [outputMessage(ids, record)] : [],
    parallel_tool_calls: false,
    previous_response_id: ids.previous,
    reasoning: { effort: null, summary: null },
    seed: reportedSeed(sampling),
    service_tier: "default",
    store: record.stored,
    temperature: sampling.temperature,
    text: { format: { type: "text" } },
    tool_choice: "none",
    tools: [],
    top_logprobs: sampling.topLogprobs,
    top_p: sampling.topP,
    truncation: "disabled",
    usage: responseUsage(record.usage),
  };
}

export function outputMessage(ids: ResponseIds, record: ResponseRecord): OutputMessage {
  return {
    id: ids.message,
    type: "message",
    status: record.status === "completed" ? "completed" : "incomplete",
    role: "assistant",
    content: [outputPart(record)],
  };
}

export function outputPart(record: Pick<ResponseRecord, "output" | "logprobs">): OutputTextPart {
  return { type: "output_text", text: record.output, annotations: [], logprobs: outputLogprobs(record.logprobs) };
}
