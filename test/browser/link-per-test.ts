/** Gives each test of a file a link to the server of its own, and closes it with the pages that went over it. */

import type { BrowserContext } from "playwright";
import { afterEach, beforeEach } from "vitest";
import type { Served } from "../e2e/served.ts";
import { Link } from "./link.ts";

export function linkPerTest(
  served: Served,
  browser: { readonly context: BrowserContext },
  take: (link: Link) => void,
): void {
  let link: Link;
  beforeEach(async () => {
    link = await Link.to(served.runtime.url);
    take(link);
  });
  afterEach(async () => {
    for (const page of browser.context.pages()) await page.close();
    await link.close();
  });
}
