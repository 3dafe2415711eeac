/** /v1/conversations/{conversation_id}/state: a conversation's whole memory as one file of bounded size. */

import { createRoute, z } from "@hono/zod-openapi";
import { conversationObject } from "../../protocol/conversations.ts";
import { MAX_STATE_FILE_BYTES } from "../../protocol/limits.ts";
import { ApiError, unwrap } from "../api-error.ts";
import { type App, errors, replies, scopeOf } from "../context.ts";
import { boundedStream } from "../json-body.ts";
import type { Services } from "../services.ts";
import { conversationJson, locateConversation } from "./conversations.ts";

const BINARY = "application/octet-stream";
const path = "/v1/conversations/{conversation_id}/state";
const params = z.object({ conversation_id: z.string() });
const file = { schema: { type: "string", format: "binary" } } as const;

const exportState = createRoute({
  method: "get",
  path,
  summary: "Export a conversation's state",
  description: "Treat the file as what was said: texts can be read out of it.",
  request: { params },
  responses: { 200: { description: "An .aerie-state file.", content: { [BINARY]: file } }, ...errors },
});
const importState = createRoute({
  method: "put",
  path,
  summary: "Import a state as the conversation's newest response",
  request: { params, body: { required: true, content: { [BINARY]: file } } },
  responses: replies("The conversation.", conversationObject),
});

export function addStateRoutes(app: App, services: Services): void {
  app.openapi(exportState, async (context) => {
    const { target, port } = await locateConversation(scopeOf(services, context), context.req.valid("param"));
    const stream = unwrap(await port.exportState(target.number));
    return new Response(stream, {
      status: 200,
      headers: {
        "content-type": BINARY,
        "content-disposition": `attachment; filename="${context.req.valid("param").conversation_id}.aerie-state"`,
        "cache-control": "no-store",
      },
    });
  });

  app.openapi(importState, async (context) => {
    const scope = scopeOf(services, context);
    const contentType = context.req.header("content-type") ?? "none";
    if (contentType.split(";")[0]!.trim().toLowerCase() !== BINARY) {
      throw new ApiError(415, "unsupported_media_type", `Expected content-type ${BINARY}, found ${contentType}.`);
    }
    const { target, port } = await locateConversation(scope, context.req.valid("param"));
    const bytes = boundedStream(context.req.raw as unknown as Request, MAX_STATE_FILE_BYTES);
    const branch = unwrap(await port.importState(target.number, bytes));
    return context.json(await conversationJson(scope, target.object, branch), 200);
  });
}
