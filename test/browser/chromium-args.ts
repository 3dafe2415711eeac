/** Debian's Chromium, and how it is started. */

import { existsSync } from "node:fs";

export const executablePath = "/usr/bin/chromium";

export const isThere = existsSync(executablePath);

/** Somebody who runs the tests at home may lack it, and reads that tests were skipped; a CI that does is broken. */
export const isNeeded = Boolean(process.env.CI);

export const missing = `${executablePath} is missing: apt-get install -y --no-install-recommends chromium`;

/** Chromium has a software adapter, SwiftShader, behind this flag alone; without it `requestAdapter` gives null. */
const WEBGPU = "--enable-unsafe-webgpu";

/** A container's root has no sandbox. */
export const chromiumArgs = ({ hasWebgpu }: { readonly hasWebgpu: boolean }): string[] => [
  "--no-sandbox",
  ...(hasWebgpu ? [WEBGPU] : []),
];
