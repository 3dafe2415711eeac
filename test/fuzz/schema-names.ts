/** Which names a schema knows, whether or not it refuses the others: what a lax one would drop without a word. */

import type { z } from "@hono/zod-openapi";

/** The parts of a schema's definition that lead to others. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly element?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly valueType?: z.ZodType;
}

/** Paths of the members of an accepted value that its schema does not name. */
export function unknownNames(schema: z.ZodType, value: unknown, path = ""): string[] {
  if (value === null || value === undefined) return [];
  const { type, shape, element, options, innerType, in: from, valueType } = schema.def as unknown as Definition;
  if (type === "union" && options) {
    const accepting = options.filter((option) => option.safeParse(value).success);
    const unknown = accepting.map((option) => unknownNames(option, value, path));
    return unknown.sort((a, b) => a.length - b.length)[0] ?? [`${path}: no alternative`];
  }
  const inner = innerType ?? from;
  if (inner) return unknownNames(inner, value, path);
  if (typeof value !== "object") return [];
  if (shape)
    return Object.entries(value).flatMap(([name, member]) =>
      Object.hasOwn(shape, name) ? unknownNames(shape[name], member, `${path}.${name}`) : [`${path}.${name}`],
    );
  const each = element ?? valueType;
  return each ? Object.entries(value).flatMap(([name, member]) => unknownNames(each, member, `${path}.${name}`)) : [];
}
