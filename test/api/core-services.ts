/** The routes' services on the real core, with databases in memory: what a Worker and its objects are, in one process. */

import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { nodeSql } from "../../cli/node-sql.ts";
import { createApp } from "../../shared/api/app.ts";
import { createAuthenticator } from "../../shared/api/authenticate.ts";
import { createIds } from "../../shared/api/ids.ts";
import { createKey } from "../../shared/api/keys.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import type { Services } from "../../shared/api/services.ts";
import { toHex } from "../../shared/bytes.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import { readTenant } from "../../shared/conversation/meta.ts";
import type { ModelSource } from "../../shared/conversation/model-source.ts";
import { beginsAnew, type PortCall, portOver, refuseCall } from "../../shared/conversation/port-call.ts";
import type { TenantStore } from "../../shared/conversation/tenant-store.ts";
import type { ConversationPort } from "../../shared/conversation/types.ts";
import { statelessRunner, type TestObject, testObject } from "../conversation/fixture.ts";
import { nodeTenants, testSecret } from "./node-tenants.ts";

/** What stands between the routes and the objects that they call: nothing, unless a test puts something there. */
export interface Boundary {
  conversation(port: ConversationPort): ConversationPort;
  tenant(store: TenantStore): TenantStore;
}

export interface CoreServices {
  readonly app: ReturnType<typeof createApp>;
  readonly tenant: TenantStore;
  readonly objects: ReadonlyMap<string, { readonly host: TestObject; readonly core: ConversationCore }>;
  readonly reported: unknown[];
  /** An API key. */
  readonly key: string;
}

export interface CoreOptions {
  readonly boundary?: Boundary;
  /** Most that one request that keeps nothing may compute. */
  readonly requestTokens?: number;
}

const open: Boundary = { conversation: (port) => port, tenant: (store) => store };

/** `model` is served by the name of one that `models` has. */
export async function coreServices(
  models: ModelSource,
  model: string,
  { boundary = open, requestTokens }: CoreOptions = {},
): Promise<CoreServices> {
  const secrets = createSecrets(testSecret);
  const { tenant, clock } = nodeTenants();
  const objects = new Map<string, { readonly host: TestObject; readonly core: ConversationCore }>();
  const reported: unknown[] = [];
  let made = 0;
  let seeds = 1n;
  const conversation = (owner: string, object: string): ConversationPort =>
    portOver((method, args) => {
      let found = objects.get(object);
      // As the object's shell: where nothing is, nothing is made but by what begins anew.
      if (!beginsAnew(method, args) && (!found || readTenant(found.host.sql) !== owner))
        return Promise.resolve(refuseCall(method, args)) as ReturnType<ConversationPort[typeof method]>;
      if (!found || found.host.forgotten) {
        const sql = nodeSql(new DatabaseSync(":memory:"));
        const host = testObject(sql, models, { name: object, tenant: tenant(owner) });
        host.clock = clock.now;
        found = { host, core: host.open() };
        objects.set(object, found);
      }
      return (found.core[method].bind(found.core) as PortCall<typeof method>)(...args);
    });
  const reached = (name: string) => boundary.tenant(tenant(name));
  const services: Services = {
    bundleFile: async () => null,
    models: [{ id: model, createdAt: 0, ownedBy: "aerie", isDefault: true }],
    authenticate: createAuthenticator({ secrets, tenant: reached, now: () => clock.now }),
    withinRateLimit: async () => true,
    ids: createIds(secrets),
    newObject: () => createHash("sha256").update(String(++made)).digest("hex"),
    conversation: (owner, object) => boundary.conversation(conversation(owner, object)),
    tenant: reached,
    prefixes: reached,
    stateless: statelessRunner(models, requestTokens),
    hmac: async (purpose, text) => toHex(await secrets.mac(purpose, text)),
    drawSeed: () => seeds++,
    now: () => clock.now,
    report: (error) => reported.push(error),
  };
  const { key, id, sha256 } = await createKey(secrets, "default");
  await tenant("default").addKey({ id, name: "test", sha256 });
  return { app: createApp(services), tenant: tenant("default"), objects, reported, key };
}
