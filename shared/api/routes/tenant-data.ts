/** What a tenant used, and everything it has: to take away, to erase. */

import { createRoute } from "@hono/zod-openapi";
import type { ExportRecord } from "../../conversation/types.ts";
import { erasedObject, usageObject } from "../../protocol/tenant.ts";
import { unwrap } from "../api-error.ts";
import { type App, errors, replies, type Scope, scopeOf } from "../context.ts";
import { itemObject } from "../items.ts";
import { responseIds, responseObject } from "../response-object.ts";
import type { Services } from "../services.ts";
import { lines } from "../turn-source.ts";
import { conversationId, conversationJson } from "./conversations.ts";

const OBJECTS_PER_PAGE = 100;
/** Each one costs a few subrequests, of which a request has a bounded number. */
const OBJECTS_PER_ERASURE = 200;

const NDJSON = "application/x-ndjson";

const usage = createRoute({
  method: "get",
  path: "/v1/usage",
  summary: "Tokens used so far",
  description: "All turns that were kept. Calls with `store: false` and /v1/completions leave no trace, here either.",
  responses: replies("The totals.", usageObject),
});

const exportData = createRoute({
  method: "get",
  path: "/v1/data",
  summary: "Export everything",
  description:
    "One JSON object a line, told apart by `object`: conversations; responses with their `input`, listed and unlisted ones; `conversation.items`, messages without a reply.",
  responses: {
    200: { description: "Everything that is kept.", content: { [NDJSON as string]: { schema: { type: "string" } } } },
    ...errors,
  },
});

const eraseData = createRoute({
  method: "delete",
  path: "/v1/data",
  summary: "Erase everything",
  description: "All conversations, responses and states. Keys and usage totals stay.",
  responses: replies("What was erased; call again while `has_more`, and later where some `failed`.", erasedObject),
});

export function addTenantDataRoutes(app: App, services: Services): void {
  app.openapi(usage, async (context) => {
    const { tenant } = scopeOf(services, context);
    const { turns, inputTokens, cachedTokens, outputTokens } = await services.tenant(tenant).usage();
    return context.json(
      {
        object: "usage" as const,
        turns,
        input_tokens: inputTokens,
        cached_tokens: cachedTokens,
        output_tokens: outputTokens,
        total_tokens: inputTokens + outputTokens,
      },
      200,
    );
  });

  app.openapi(exportData, async (context) => {
    const records = exported(scopeOf(services, context));
    const encoder = new TextEncoder();
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = await records.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
      },
      cancel: () => void records.return(undefined),
    });
    return new Response(stream, { status: 200, headers: { "content-type": NDJSON, "cache-control": "no-store" } });
  });

  app.openapi(eraseData, async (context) => {
    const { tenant, requestId } = scopeOf(services, context);
    const catalogue = services.tenant(tenant);
    const objects = await catalogue.objects(null, OBJECTS_PER_ERASURE + 1);
    const tried = objects.slice(0, OBJECTS_PER_ERASURE);
    let failed = 0;
    for (const object of tried) {
      try {
        await services.conversation(tenant, object).destroy();
        await catalogue.forget(object); // last: what the catalogue still names can be erased again
      } catch (error) {
        // The others are erased all the same.
        services.report?.(error, requestId);
        failed++;
      }
    }
    return context.json(
      {
        object: "data.deleted" as const,
        deleted: failed === 0,
        conversations: tried.length - failed,
        failed,
        has_more: objects.length > tried.length,
      },
      200,
    );
  });
}

async function* exported(scope: Scope): AsyncGenerator<unknown, void> {
  const { services, tenant } = scope;
  const catalogue = services.tenant(tenant);
  let after: string | null = null;
  for (;;) {
    const objects: readonly string[] = await catalogue.objects(after, OBJECTS_PER_PAGE);
    for (const object of objects) {
      const answer = await services.conversation(tenant, object).exportAll();
      if (!answer.ok && answer.error.status === 404) continue; // expired since
      for await (const record of lines<ExportRecord>(unwrap(answer))) yield await exportJson(scope, object, record);
    }
    if (objects.length < OBJECTS_PER_PAGE) return;
    after = objects.at(-1)!;
  }
}

async function exportJson(scope: Scope, object: string, record: ExportRecord): Promise<unknown> {
  if (record.type === "branch") return conversationJson(scope, object, record.branch);
  if (record.type === "items") {
    const { branch, createdAt, items } = record;
    const conversation = branch === null ? null : { id: await conversationId(scope, object, branch) };
    const data = await Promise.all(items.map((item) => itemObject(scope, object, item)));
    return { object: "conversation.items", conversation, created_at: createdAt, data };
  }
  const { response } = record;
  const input = response.input.map(({ role, content }) => ({ type: "message", role, content }));
  return { ...responseObject(await responseIds(scope, object, response), response), input };
}
