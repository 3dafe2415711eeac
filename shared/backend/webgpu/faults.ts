/**
 * What the GPU refuses, it refuses in silence: it hands out a buffer that is none, or drops a command, and tells the error scopes that
 * were open around the call, some time later.
 */

import { AerieError } from "../../errors.ts";
import type { GpuDevice } from "./gpu.ts";
import type { Lent } from "./memory.ts";

const SCOPES = ["validation", "out-of-memory", "internal"] as const;

/** Does something with a device; `refusal` is why the device did not do it, null if it did. */
export function watched<Result>(
  device: GpuDevice,
  act: () => Result,
): { readonly result: Result; readonly refusal: Promise<string | null> } {
  for (const filter of SCOPES) device.pushErrorScope(filter);
  let errors: Promise<{ readonly message: string } | null>[] = [];
  let result: Result;
  try {
    result = act();
  } finally {
    errors = SCOPES.map(() => device.popErrorScope().catch(() => null)); // a lost device is told by the next read
  }
  return {
    result,
    refusal: Promise.all(errors).then((found) => found.find((error) => error !== null)?.message ?? null),
  };
}

/** The first thing that makes a backend useless, for whoever calls next. */
export class Faults {
  readonly #device: GpuDevice;
  #first: Promise<AerieError | null> = Promise.resolve(null);
  #known: AerieError | null = null;

  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /** Does something without which the backend is of no use, unless what it is `about` was refused itself. */
  watch<Result>(act: () => Result, about: readonly Lent[] = []): Result {
    const { result, refusal } = watched(this.#device, act);
    this.add(faultOf(refusal, about));
    return result;
  }

  add(fault: Promise<AerieError | null>): void {
    this.#first = Promise.all([this.#first, fault]).then(([before, found]) => {
      this.#known ??= before ?? found;
      return this.#known;
    });
  }

  /** From now on every call throws this, if nothing was wrong before. */
  stop(fault: AerieError): void {
    this.#known ??= fault;
    this.add(Promise.resolve(fault));
  }

  /** Throws what is known by now. */
  throwKnown(): void {
    if (this.#known) throw this.#known;
  }

  /** Waits for the GPU's answer to all that it was handed, and throws. */
  async check(): Promise<void> {
    await this.#first;
    this.throwKnown();
  }
}

async function faultOf(refusal: Promise<string | null>, about: readonly Lent[]): Promise<AerieError | null> {
  const message = await refusal;
  if (message === null) return null;
  // For a state or a read that there was no room for: whoever asked for it is told so, and nobody else has lost anything.
  const lacking = await Promise.all(about.map((lent) => lent.refusal));
  if (lacking.some((error) => error !== null)) return null;
  return new RefusedError(message);
}

/** The GPU dropped a command. What it was to do to states or weights is not done, and nobody can tell what came of that: the backend stops. */
export class RefusedError extends AerieError {
  constructor(message: string) {
    const [reason] = message.split("\n");
    super(
      "gpu.refused",
      `the GPU refused a command (${reason}), and this backend is of no use any more: open a device anew, load the bundle into it and restore the last saved state`,
    );
  }
}
