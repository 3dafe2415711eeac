/** A progress bar on standard error, once a person has waited for more than a second. */

import { type Options, SingleBar } from "cli-progress";

const PATIENCE_MS = 1000;

export interface Progress {
  /** Tells how far it is; returns when events have been let in. */
  update(done: number, total: number): Promise<void>;
  stop(): void;
}

/** `format` turns a count into its unit: bytes, tokens. Silent where standard error is not a terminal. */
export function progress(label: string, format: (count: number) => string): Progress {
  const startMs = performance.now();
  const options: Options = {
    format: `${label} {bar} {percentage}% · {done} of {all} · {eta_formatted} left`,
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    noTTYOutput: false,
    stream: process.stderr,
  };
  let bar: SingleBar | null = null;
  return {
    async update(done, total) {
      if (process.stderr.isTTY) {
        const shown = { done: format(done), all: format(total) };
        if (!bar && performance.now() - startMs > PATIENCE_MS) {
          bar = new SingleBar(options);
          bar.start(total, done, shown);
        }
        bar?.update(done, shown);
      }
      await new Promise(setImmediate);
    },
    stop() {
      bar?.stop();
      bar = null;
    },
  };
}

export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 2)} ${units[power]}`;
}

export const formatCount = (count: number): string => count.toLocaleString("en-US");
