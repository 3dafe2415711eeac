/** Which models a deployment serves: the variable `AERIE_MODELS` of wrangler.toml. */

import { z } from "zod";
import { AerieError } from "../shared/errors.ts";

export interface ModelEntry {
  /** The name that requests use. */
  readonly id: string;
  /** `assets`: deployed along with the Worker. `r2`: an object per file in the bucket `MODELS`. */
  readonly source: "assets" | "r2";
  /** The bundle's folder there. */
  readonly path: string;
  /** Used where a request names no model. Exactly one is. */
  readonly isDefault: boolean;
  /** Whether clients with a key may download the bundle. */
  readonly isDownloadable: boolean;
}

const catalogueSchema = z
  .array(
    z.strictObject({
      id: z.string().regex(/^\w[\w.:-]{0,99}$/, "expected up to 100 letters, digits and _ . : -"),
      source: z.enum(["assets", "r2"]),
      path: z.string().regex(/^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/, 'expected a folder such as "models/my-model"'),
      default: z.boolean().optional(),
      download: z.boolean().optional(),
    }),
  )
  .min(1, "expected at least one model")
  .max(100);

/** Throws an `AerieError` that names what is wrong and shows what is expected. */
export function parseCatalogue(text: string | undefined): readonly ModelEntry[] {
  const entries = parseEntries(text);
  const twice = entries.find(({ id }, at) => entries.findIndex((other) => other.id === id) < at);
  if (twice) throw wrong(`the id ${twice.id} is there twice`);
  const defaults = entries.filter((entry) => entry.default);
  if (defaults.length > 1) throw wrong(`${defaults.map(({ id }) => id).join(" and ")} are all "default"`);
  const isDefault = defaults[0] ?? entries[0];
  return entries.map((entry) => {
    const { id, source, path, download = false } = entry;
    return { id, source, path, isDefault: entry === isDefault, isDownloadable: download };
  });
}

function parseEntries(text: string | undefined): z.infer<typeof catalogueSchema> {
  if (text === undefined || text === "") throw wrong("it is not set");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw wrong(`it is not JSON: ${(cause as Error).message}`);
  }
  const parsed = catalogueSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0];
  throw wrong(path.length > 0 ? `[${path.join(".")}]: ${message}` : message);
}

const wrong = (found: string): AerieError =>
  new AerieError(
    "models",
    `AERIE_MODELS: ${found}. Expected a list such as [{"id":"my-model","source":"r2","path":"models/my-model"}] in wrangler.toml`,
  );
