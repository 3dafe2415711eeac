/** Begins a turn that is kept: in which object, under which idempotency key, with its events ready to be read. */

import type { Parent, ResponseRecord, TurnRequest } from "../conversation/types.ts";
import { MAX_IDEMPOTENCY_KEY } from "../protocol/limits.ts";
import { ApiError, unwrap } from "./api-error.ts";
import type { RequestContext, Scope } from "./context.ts";
import { fromStream, rejoining, type TurnSource } from "./turn-source.ts";

/** What a request asks for, wherever it will run. */
export type TurnDraft = Omit<TurnRequest, "parent" | "input" | "instructions" | "idempotency">;

export interface RunningTurn {
  readonly object: string;
  readonly responses: readonly ResponseRecord[];
  readonly source: TurnSource;
}

export type Idempotency = NonNullable<TurnRequest["idempotency"]>;

/** The `Idempotency-Key` header with a hash of what it stands for; undefined without one. */
export async function idempotencyOf(
  { services, tenant }: Scope,
  context: RequestContext,
  body: unknown,
): Promise<Idempotency | undefined> {
  const key = context.req.header("idempotency-key");
  if (key === undefined || key === "") return undefined;
  if (key.length > MAX_IDEMPOTENCY_KEY) {
    throw new ApiError(
      400,
      "invalid_value",
      `Invalid 'Idempotency-Key': expected at most ${MAX_IDEMPOTENCY_KEY} characters, found ${key.length}.`,
      { param: "Idempotency-Key" },
    );
  }
  const [hashedKey, requestHash] = await Promise.all([
    services.hmac("idempotency", JSON.stringify([tenant, "key", key])),
    services.hmac("idempotency", JSON.stringify([tenant, "request", context.req.path, body])),
  ]);
  return { key: hashedKey, requestHash };
}

/** Where a turn is to run: in an object, behind one of its responses or from nothing. */
export interface Place {
  readonly object: string;
  readonly node: number | null;
}

/**
 * Begins a turn at the place of the first request with its key: `place` itself, unless there was an earlier one. A request
 * that is refused for what it says leaves its key free: corrected, it may be sent under the same one.
 */
export async function beginAtPlace(
  { services, tenant, requestId }: Scope,
  idempotency: Idempotency | undefined,
  place: Place,
  begin: (place: Place) => Promise<RunningTurn>,
): Promise<RunningTurn> {
  if (!idempotency) return begin(place);
  const { key, requestHash } = idempotency;
  const claimed = await services.tenant(tenant).claim(key, requestHash, place);
  if (claimed === "conflict")
    throw new ApiError(
      409,
      "idempotency_key_reused",
      "This Idempotency-Key was used for a different request within the last day.",
      { param: "Idempotency-Key" },
    );
  try {
    return await begin(claimed);
  } catch (error) {
    const unclaim = () => services.tenant(tenant).unclaim(key, requestHash);
    // The refusal is what the caller has to hear, whatever becomes of the key.
    if (isRefusedForGood(error)) await unclaim().catch((cause: unknown) => services.report?.(cause, requestId));
    throw error;
  }
}

/**
 * Whether the same request is refused whenever it comes, so that none of its repetitions can have begun. Not where the
 * server is busy, and not where the response of an earlier repetition was deleted.
 */
function isRefusedForGood(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { status, code } = error;
  return status === 400 || status === 413 || (status === 404 && code !== "response_not_found");
}

/** A turn in an object that may not exist yet: its tenant knows of it before anything is written there. */
export async function beginFresh(
  scope: Scope,
  object: string,
  request: Omit<TurnRequest, "parent">,
  quiet: boolean,
): Promise<RunningTurn> {
  await scope.services.tenant(scope.tenant).register(object);
  return beginTurn(scope, object, { ...request, parent: { kind: "root" } satisfies Parent }, quiet);
}

/** Throws an `ApiError` where the conversation refuses. `quiet`: only the ends are of interest. */
export async function beginTurn(
  { services, tenant }: Scope,
  object: string,
  request: TurnRequest,
  quiet: boolean,
): Promise<RunningTurn> {
  const port = services.conversation(tenant, object);
  const { responses, events } = unwrap(await port.turn(request, { quiet }));
  const nodes = responses.map(({ node }) => node);
  return { object, responses, source: rejoining(fromStream(events), port, nodes, quiet) };
}
