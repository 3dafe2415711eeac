/**
 * The built Worker with a hand on its storage: it stands still at the instant that a test asks for, until it is killed.
 * Only test/e2e/runtime.ts puts this module in front of the production bundle, which it imports as it is.
 */

import worker, { Conversation as RealConversation, Tenant as RealTenant } from "../../workers/index.ts";
import { ARMING_PATH, type Arming, HELD_LINE, type Hold } from "../e2e/hold.ts";

const LONGEST_MS = 180_000; // whoever wanted to kill this process is gone

let arming: Arming = {};
let seen = 0; //        statements that matched
let isFrozen = false; // nobody outside the objects is told anything any more

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname !== ARMING_PATH) return worker.fetch(request, env, context);
    arming = await request.json();
    seen = 0;
    return new Response();
  },
} satisfies ExportedHandler<Cloudflare.Env>;

/** Nothing else happens in the whole isolate from here on. */
function standStill(): void {
  console.log(HELD_LINE);
  const end = Date.now() + LONGEST_MS;
  while (Date.now() < end);
}

/** Resolves at once, or never in the life of this process. */
async function mayLeave(): Promise<void> {
  while (isFrozen) await scheduler.wait(1000);
}

/** An object's storage, watched. */
function watched(
  storage: DurableObjectStorage,
  object: Hold["object"],
  isInAlarm: () => boolean,
): DurableObjectStorage {
  let [depth, isDue] = [0, false];
  const finished = (instant: Hold["instant"]) => {
    isDue = false;
    if (instant === "written") return standStill();
    isFrozen = true;
    void storage.sync().then(() => console.log(HELD_LINE));
  };
  const isMeant = (statement: string): Hold | null => {
    const { hold } = arming;
    if (!hold || hold.object !== object || (hold.duringAlarm && !isInAlarm())) return null;
    return new RegExp(hold.statement).test(statement) && ++seen === hold.count ? hold : null;
  };
  const use = <Result>(statement: string, body: () => Result): Result => {
    const hold = isMeant(statement);
    if (hold?.instant === "inside") standStill();
    const result = body();
    if (hold && hold.instant !== "inside") {
      if (depth > 0) isDue = true;
      else finished(hold.instant);
    }
    return result;
  };
  const sql = over(storage.sql, {
    exec: (query: string, ...values: SqlStorageValue[]) => use(query, () => storage.sql.exec(query, ...values)),
  });
  return over(storage, {
    sql,
    transactionSync: <Result>(body: () => Result): Result => {
      depth++;
      try {
        return storage.transactionSync(body);
      } finally {
        depth--;
        if (isDue && depth === 0) finished(arming.hold?.instant ?? "written");
      }
    },
    deleteAll: () => use("deleteAll", () => storage.deleteAll()),
  });
}

/** The object with some of its members replaced. */
function over<Target extends object>(target: Target, members: object): Target {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(members, name)) return Reflect.get(members, name);
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** What an object answers stays in it while it is frozen, streams that began before included. */
async function leaving<Value>(value: Value): Promise<Value> {
  await mayLeave();
  const inner = (value as { value?: { events?: unknown } } | null)?.value;
  if (inner?.events instanceof ReadableStream) return { ...value, value: { ...inner, events: held(inner.events) } };
  return value;
}

function held(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const { done, value } = await reader.read();
      await mayLeave();
      if (value) return controller.enqueue(value);
      if (done) controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

export class Conversation extends RealConversation {
  #alarms = 0;

  constructor(context: DurableObjectState, env: Cloudflare.Env) {
    let isInAlarm = () => false;
    const storage = watched(context.storage, "Conversation", () => isInAlarm());
    Object.defineProperty(context, "storage", { value: storage });
    const { segmentSeconds } = arming;
    super(context, segmentSeconds === undefined ? env : { ...env, AERIE_SEGMENT_SECONDS: String(segmentSeconds) });
    isInAlarm = () => this.#alarms > 0;
  }

  override async call(...call: Parameters<RealConversation["call"]>) {
    await mayLeave();
    return leaving(await super.call(...call)) as never;
  }

  override async alarm(): Promise<void> {
    this.#alarms++;
    try {
      await super.alarm();
    } finally {
      this.#alarms--;
    }
  }
}

export class Tenant extends RealTenant {
  constructor(context: DurableObjectState, env: Cloudflare.Env) {
    Object.defineProperty(context, "storage", { value: watched(context.storage, "Tenant", () => false) });
    super(context, env);
  }
}

for (const name of Object.getOwnPropertyNames(RealTenant.prototype) as (keyof RealTenant)[]) {
  if ((name as string) === "constructor" || (name as string) === "alarm") continue;
  const method = RealTenant.prototype[name] as (...args: unknown[]) => unknown;
  Object.defineProperty(Tenant.prototype, name, {
    async value(this: Tenant, ...args: unknown[]) {
      await mayLeave();
      return leaving(await method.apply(this, args));
    },
  });
}
