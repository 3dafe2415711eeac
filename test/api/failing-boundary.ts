/** Calls of objects that may fail: before they have an effect, behind it, and in the middle of a stream that they answered with. */

import type { FaultPoints } from "../conversation/faults.ts";
import type { Boundary } from "./core-services.ts";

/** `faults` of now: each call, its reply, and each piece of a stream that it gave are points. */
export function failingBoundary(faults: () => FaultPoints): Boundary {
  const through = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          faults().pass(String(name));
          const result = await (value as (...args: unknown[]) => unknown).apply(target, args);
          try {
            faults().pass(`reply of ${String(name)}`);
          } catch (error) {
            await streamIn(result)?.cancel(); // as the runtime does where nobody is left to read
            throw error;
          }
          return withStream(result, faults, String(name));
        };
      },
    });
  return { conversation: through, tenant: through };
}

interface WithStream {
  readonly value?: ReadableStream<Uint8Array> | { readonly events?: ReadableStream<Uint8Array> };
}

function streamIn(result: unknown): ReadableStream<Uint8Array> | null {
  const value = (result as WithStream | undefined)?.value;
  if (value instanceof ReadableStream) return value;
  return value?.events instanceof ReadableStream ? value.events : null;
}

function withStream(result: unknown, faults: () => FaultPoints, name: string): unknown {
  const stream = streamIn(result);
  if (!stream) return result;
  const reader = stream.getReader();
  const breaking = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          faults().pass(`reading ${name}`);
        } catch (error) {
          void reader.cancel();
          throw error;
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  const { value } = result as WithStream;
  return { ...(result as object), value: value instanceof ReadableStream ? breaking : { ...value, events: breaking } };
}
