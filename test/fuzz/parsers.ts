/** Every reader of what others wrote. */

import { bundleParsers } from "./bundle-parsers.ts";
import { idParsers } from "./id-parsers.ts";
import { importParser } from "./import-parser.ts";
import type { AnyParser } from "./parser.ts";
import { requestParsers } from "./request-parsers.ts";
import { textParsers } from "./text-parsers.ts";

export const parsers: readonly AnyParser[] = [
  ...(await bundleParsers()),
  ...(await textParsers()),
  await importParser(),
  ...(await idParsers()),
  ...requestParsers(),
];
