/** Open to everybody: what this is, whether it is up, how it is used. */

import { createRoute } from "@hono/zod-openapi";
import type { App } from "../context.ts";
import { docsPage } from "../docs-page.ts";
import { openApiInfo } from "../openapi-info.ts";
import type { Services } from "../services.ts";

const text = (description: string, type: string) => ({
  200: { description, content: { [type]: { schema: { type: "string" as const } } } },
});

const root = createRoute({
  method: "get",
  path: "/",
  summary: "How to make the first call",
  security: [],
  responses: text("Plain text.", "text/plain"),
});
const health = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether the server answers",
  description: "Says nothing about weights: they are loaded by the first request that needs them.",
  security: [],
  responses: text('{"status":"ok"}', "application/json"),
});
const docs = createRoute({
  method: "get",
  path: "/docs",
  summary: "This API as a page",
  security: [],
  responses: text("A page.", "text/html"),
});

export function addServiceRoutes(app: App, services: Services): void {
  app.openapi(root, (context) => context.text(firstCall(new URL(context.req.url).origin, services), 200));
  app.openapi(health, (context) => context.json({ status: "ok" }, 200));
  let page: string | undefined; // rendered for the first who asks
  app.openapi(docs, (context) => {
    page ??= docsPage(app.getOpenAPI31Document(openApiInfo));
    return context.html(page, 200, {
      // The page is its own and asks for nothing; it could not if it wanted to.
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    });
  });
  app.doc31("/openapi.json", openApiInfo);
}

function firstCall(origin: string, services: Services): string {
  const model = services.models.find(({ isDefault }) => isDefault)?.id;
  const name = model ? `"model": "${model}", ` : "";
  return `Aerie: fixed-state language models behind an OpenAI-compatible API.

The first call (a key comes from \`aerie keys add\`; \`npm run dev\` prints one):

  curl ${origin}/v1/responses \\
    -H "Authorization: Bearer $AERIE_API_KEY" \\
    -H "Content-Type: application/json" \\
    -d '{${name}"input": "Say hello."}'

To go on, send the reply's id along as "previous_response_id": only the new tokens are processed.
Any OpenAI client works with the base URL ${origin}/v1.

  ${origin}/docs           every route
  ${origin}/openapi.json   the same for programs
`;
}
