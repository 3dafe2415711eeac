/** The Worker: bindings in, the HTTP API out. Stateless; conversations and tenants are objects. */

import { requestTokens } from "../durable-objects/compute-pace.ts";
import { conversationPort } from "../durable-objects/conversation-port.ts";
import { modelHost } from "../durable-objects/model-host.ts";
import { prefixObjectName } from "../durable-objects/tenant.ts";
import { createAdmin } from "../shared/api/admin.ts";
import { ApiError, errorResponse } from "../shared/api/api-error.ts";
import { createApp } from "../shared/api/app.ts";
import { createAuthenticator } from "../shared/api/authenticate.ts";
import { createIds } from "../shared/api/ids.ts";
import { createSecrets } from "../shared/api/secrets.ts";
import type { Services } from "../shared/api/services.ts";
import { toHex } from "../shared/bytes.ts";
import { createStatelessRunner } from "../shared/conversation/stateless.ts";
import type { TenantPort } from "../shared/conversation/tenant-types.ts";
import { AerieError } from "../shared/errors.ts";

export { Conversation } from "../durable-objects/conversation.ts";
export { Tenant } from "../durable-objects/tenant.ts";

type Env = Cloudflare.Env;

/** One app per isolate: it holds caches of keys and answers. Nothing in it belongs to a request. */
let app: ReturnType<typeof createApp> | null = null;

export default {
  fetch(request, env, context) {
    try {
      app ??= appFor(env);
    } catch (error) {
      console.error(error);
      const sentence = error instanceof AerieError ? error.message : "This server is not configured: its log says why.";
      return errorResponse(new ApiError(503, "not_configured", sentence));
    }
    return app.fetch(request, env, context);
  },
} satisfies ExportedHandler<Env>;

function appFor(env: Env): ReturnType<typeof createApp> {
  const secrets = createSecrets(env.AERIE_SECRET);
  const tenant = (name: string): TenantPort => tenantObject(env, name);
  const services: Services = {
    models: modelHost(env).models.map(({ source: _, path: __, ...listed }) => ({
      ...listed,
      createdAt: 0,
      ownedBy: "aerie",
    })),
    bundleFile: (model, file) => modelHost(env).bundleFile(model, file),
    authenticate: createAuthenticator({ secrets, tenant, now: Date.now }),
    withinRateLimit: async ({ keyId }) => (await env.RATE_LIMIT.limit({ key: keyId })).success,
    ids: createIds(secrets),
    newObject: () => env.CONVERSATIONS.newUniqueId().toString(),
    conversation: (owner, object) => conversationPort(env, owner, object),
    tenant,
    prefixes: (owner, hash) => tenantObject(env, prefixObjectName(owner, hash)),
    stateless: createStatelessRunner({
      models: modelHost(env),
      now: Date.now,
      requestTokens: ({ model }) => requestTokens(model.config),
    }),
    hmac: async (purpose, text) => toHex(await secrets.mac(purpose, text)),
    drawSeed,
    now: Date.now,
    report: (error, requestId) => console.error(requestId, error),
  };
  return createApp(services, { admin: createAdmin({ secrets, tenant }) });
}

const tenantObject = ({ TENANTS }: Env, name: string) => TENANTS.get(TENANTS.idFromName(name));

/** 63 random bits: as many as a signed 64-bit number has without its sign. */
function drawSeed(): bigint {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return ((BigInt(high) << 32n) | BigInt(low)) >> 1n;
}
