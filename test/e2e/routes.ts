/** Every route that there is, from the router itself. */

import { createAdmin } from "../../shared/api/admin.ts";
import { createApp, publicPaths } from "../../shared/api/app.ts";

export interface Route {
  readonly method: string;
  readonly path: string;
}

/** Middleware, which stands for every method, is left out. No service is asked: routes are only registered. */
export function allRoutes(): Route[] {
  const nothing = new Proxy({}, { get: () => () => undefined });
  const app = createApp(nothing as never, { admin: createAdmin(nothing as never) });
  const seen = new Map<string, Route>();
  for (const { method, path } of app.routes) if (method !== "ALL") seen.set(`${method} ${path}`, { method, path });
  return [...seen.values()];
}

export const isPublic = ({ path }: Route): boolean => publicPaths.has(path);
