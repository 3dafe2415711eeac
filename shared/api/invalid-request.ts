/** What a schema found wrong with a request, as one error that names the parameter. */

import type { z } from "@hono/zod-openapi";
import { UNSUPPORTED } from "../protocol/fields.ts";
import { ApiError } from "./api-error.ts";

type Issue = z.core.$ZodIssue;

export function invalidRequest(error: { readonly issues: readonly Issue[] }): ApiError {
  const issue = deepest(error.issues[0]!);
  const param = pathText(issue.path) || null;
  const named = (code: string, sentence: string, name = param) => new ApiError(400, code, sentence, { param: name });
  if (issue.code === "unrecognized_keys") {
    const name = pathText([...issue.path, issue.keys[0]!]).slice(0, 200);
    return named("unknown_parameter", `Unknown parameter: '${name}'.`, name);
  }
  if (issue.code === "custom" && issue.params?.[UNSUPPORTED]) {
    return named("unsupported_parameter", `Unsupported parameter: '${param}' is ${issue.message}.`);
  }
  if (issue.code === "invalid_type" && issue.message.endsWith("received undefined")) {
    return named("missing_required_parameter", `Missing required parameter: '${param}'.`);
  }
  const code = issue.code === "invalid_type" ? "invalid_type" : "invalid_value";
  return named(code, `Invalid ${param ? `'${param}'` : "request body"}: ${lowerFirst(issue.message)}.`);
}

/** In a union, what is wrong with the alternative that fits furthest; the union itself where none fits at all. */
function deepest(issue: Issue): Issue {
  if (issue.code === "invalid_key" || issue.code === "invalid_element") {
    const inner = issue.issues[0];
    return inner ? { ...deepest(inner), path: [...issue.path, ...inner.path] } : issue;
  }
  if (issue.code !== "invalid_union") return issue;
  let best: Issue = issue;
  let depth = 0;
  for (const alternative of issue.errors) {
    const inner = alternative[0] && deepest(alternative[0]);
    if (!inner) continue;
    const isRoot = inner.path.length === 0;
    // A root issue other than a wrong type says that the type fits: a stop list that is too long, say.
    const reach = isRoot ? (inner.code === "invalid_type" ? 0 : 1) : inner.path.length + 1;
    if (reach > depth) {
      depth = reach;
      best = { ...inner, path: [...issue.path, ...inner.path] };
    }
  }
  return best;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text ? `${text}.${String(key)}` : String(key);
  }, "");
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
