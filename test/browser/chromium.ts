/** Debian's Chromium, headless, with a profile of its own. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright";
import { afterAll, beforeAll } from "vitest";
import { chromiumArgs, executablePath, isNeeded, isThere, missing } from "./chromium-args.ts";

export const isSkipped = !isThere;
if (isSkipped && isNeeded) throw new Error(missing);

export class Chromium {
  #context: BrowserContext | null = null;

  get context(): BrowserContext {
    if (!this.#context) throw new Error("Chromium is started before the first test, not before");
    return this.#context;
  }

  async start(profile: string, args: readonly string[]): Promise<void> {
    this.#context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      args: [...args],
    });
    this.#context.setDefaultTimeout(0); // a test's own time limit is the one that counts
  }

  async stop(): Promise<void> {
    await this.#context?.close();
    this.#context = null;
  }
}

/** Started before the file's tests, stopped after them. */
export function browse({ hasWebgpu }: { readonly hasWebgpu: boolean }): Chromium {
  const browser = new Chromium();
  if (isSkipped) return browser;
  const profile = mkdtempSync(join(tmpdir(), "aerie-chromium-"));
  beforeAll(() => browser.start(profile, chromiumArgs({ hasWebgpu })));
  afterAll(async () => {
    await browser.stop();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return browser;
}
