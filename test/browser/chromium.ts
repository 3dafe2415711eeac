/** Debian's Chromium, headless, with a profile of its own. */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

const executablePath = "/usr/bin/chromium";

const isThere = existsSync(executablePath);

// Somebody who runs the tests at home may lack it, and reads that tests were skipped; a CI that does is broken.
if (!isThere && process.env.CI === "true")
  throw new Error(`${executablePath} is missing: apt-get install -y --no-install-recommends chromium`);

export const isSkipped = !isThere;

/** Chromium has a software adapter, SwiftShader, behind this flag alone; without it `requestAdapter` gives null. */
const WEBGPU = "--enable-unsafe-webgpu";

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
  const args = ["--no-sandbox", ...(hasWebgpu ? [WEBGPU] : [])]; // a container's root has no sandbox
  beforeAll(() => browser.start(profile, args));
  afterAll(async () => {
    await browser.stop();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return browser;
}
