/** What the tests of workerd run in: requests and objects that load models, all in one isolate with the tests themselves. */

import { DurableObject } from "cloudflare:workers";
import type { ModelHost } from "../../durable-objects/model-host.ts";

export { Tenant } from "../../durable-objects/tenant.ts";

/** By a name that a test made up: requests can't be handed objects. */
export const hosts = new Map<string, ModelHost>();

async function load(url: URL): Promise<string> {
  const loaded = await hosts.get(url.searchParams.get("host") ?? "")!.load("small");
  return loaded.digest;
}

/** No test here needs a conversation. */
export class Conversation extends DurableObject {}

export class Loader extends DurableObject {
  override async fetch(request: Request): Promise<Response> {
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

export default { fetch: reply };
