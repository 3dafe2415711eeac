/**
 * What the tests of workerd run in: the Worker and its objects, and beside them requests and objects that do nothing but
 * load models. All in one isolate with the tests themselves.
 */

import { DurableObject } from "cloudflare:workers";
import type { ModelHost } from "../../durable-objects/model-host.ts";
import worker from "../../workers/index.ts";

export { Conversation, Tenant } from "../../workers/index.ts";

/** Where a request goes that only loads a model. */
export const LOADER_ORIGIN = "https://loader.local";

/** By a name that a test made up: requests can't be handed objects. */
export const hosts = new Map<string, ModelHost>();

async function load(url: URL): Promise<string> {
  const loaded = await hosts.get(url.searchParams.get("host") ?? "")!.load("small");
  return loaded.digest;
}

export class Loader extends DurableObject {
  override async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname === "/reset") this.ctx.abort("reset by a test");
    return reply(request);
  }
}

async function reply(request: Request): Promise<Response> {
  try {
    return new Response(await load(new URL(request.url)));
  } catch (error) {
    return new Response((error as Error).message, { status: 500 });
  }
}

export default {
  fetch: (request, env, context) =>
    new URL(request.url).origin === LOADER_ORIGIN ? reply(request) : worker.fetch(request, env, context),
} satisfies ExportedHandler<Cloudflare.Env>;
