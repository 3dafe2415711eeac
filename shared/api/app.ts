/** The HTTP API as a function from services to a Hono app: the same routes in a Worker, in Node and in a browser. */

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { ApiError, errorResponse, toApiError } from "./api-error.ts";
import type { App, Env } from "./context.ts";
import { invalidRequest } from "./invalid-request.ts";
import { jsonBodies } from "./json-body.ts";
import { addBundleRoutes } from "./routes/bundle.ts";
import { addChatRoutes } from "./routes/chat-completions.ts";
import { addCompletionRoutes } from "./routes/completions.ts";
import { addConversationItemRoutes } from "./routes/conversation-items.ts";
import { addConversationRoutes } from "./routes/conversations.ts";
import { addModelRoutes } from "./routes/models.ts";
import { addResponseRoutes } from "./routes/responses.ts";
import { addServiceRoutes } from "./routes/service.ts";
import { addStateRoutes } from "./routes/state.ts";
import { addTenantDataRoutes } from "./routes/tenant-data.ts";
import { addTokenRoutes } from "./routes/tokens.ts";
import type { Services } from "./services.ts";

/** The only paths that need no key. Whatever is not here does: a route can't be left open by forgetting it. */
export const publicPaths: ReadonlySet<string> = new Set(["/", "/health", "/openapi.json", "/docs"]);

/** The rate limiter tells only that the limit is passed; its shortest period is 10 seconds. */
const RATE_LIMIT_RETRY_SECONDS = 10;

export interface AppOptions {
  /** Answers below /admin, by an authentication of its own. */
  readonly admin?: Hono;
}

export function createApp(services: Services, { admin }: AppOptions = {}): App {
  const app: App = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error);
    },
  });

  app.use("*", async (context, next) => {
    const requestId = `req_${crypto.randomUUID().replaceAll("-", "")}`;
    context.set("requestId", requestId);
    await next();
    context.header("x-request-id", requestId);
  });
  if (admin) app.route("/admin", admin); // not for browsers: before the next line
  // Any origin may call: what lets a caller in is the key it sends, never a cookie.
  app.use(
    "*",
    cors({
      origin: "*",
      allowMethods: ["GET", "POST", "PUT", "DELETE", "OPTIONS"],
      exposeHeaders: ["x-request-id", "retry-after", "x-should-retry", "etag", "content-range"],
      maxAge: 86_400,
    }),
  );
  app.use("*", async (context, next) => {
    if (!publicPaths.has(context.req.path)) {
      const identity = await services.authenticate(context.req.header("authorization") ?? null);
      context.set("identity", identity);
      if (!(await services.withinRateLimit(identity))) throw rateLimited();
    }
    await next();
  });
  app.use("*", jsonBodies);

  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  addChatRoutes(app, services);
  addResponseRoutes(app, services);
  addConversationRoutes(app, services);
  addConversationItemRoutes(app, services);
  addStateRoutes(app, services);
  addCompletionRoutes(app, services);
  addModelRoutes(app, services);
  addBundleRoutes(app, services);
  addTokenRoutes(app, services);
  addTenantDataRoutes(app, services);
  addServiceRoutes(app, services);

  app.notFound((context) => errorResponse(unknownUrl(context.req.method, context.req.path)));
  app.onError((thrown, context) => {
    const error = thrown instanceof HTTPException ? fromHono(thrown) : toApiError(thrown);
    if (error.status >= 500) services.report?.(error.cause ?? error, context.get("requestId"));
    return errorResponse(error);
  });
  return app;
}

function rateLimited(): ApiError {
  return new ApiError(429, "rate_limit_exceeded", "Too many requests; try again in a moment.", {
    retryAfterSeconds: RATE_LIMIT_RETRY_SECONDS,
  });
}

function unknownUrl(method: string, path: string): ApiError {
  const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
  return new ApiError(404, "unknown_url", `Unknown request URL: ${method} ${shown}. GET /docs lists the routes.`);
}

/** What hono refuses by itself: a body of another type than the route's. */
function fromHono({ status }: HTTPException): ApiError {
  return status === 415
    ? new ApiError(415, "unsupported_media_type", "Expected a body with content-type application/json.")
    : new ApiError(400, "invalid_request", "The request could not be read.");
}
