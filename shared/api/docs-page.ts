/** The OpenAPI document as one page of HTML: no script, no font, no picture, nothing to fetch. */

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> };
  readonly responses?: Readonly<
    Record<string, { readonly description?: string; readonly content?: Readonly<Record<string, { schema?: Schema }>> }>
  >;
}

interface Document {
  readonly info: { readonly title: string; readonly description?: string };
  readonly paths?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> };
}

const methods = ["get", "post", "put", "delete"];

export function docsPage(document: object): string {
  const { info, paths = {}, components } = document as Document;
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    methods.flatMap((method) => (item[method] ? [operationHtml(method, path, item[method] as Operation)] : [])),
  );
  const schemas = Object.entries(components?.schemas ?? {}).map(([name, schema]) => schemaHtml(name, schema as Schema));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(info.title)} API</title>
<style>${css}</style>
</head>
<body>
<header><h1>${escapeHtml(info.title)}</h1><p>${prose(info.description)}</p>
<p>Send a key as <code>Authorization: Bearer sk-…</code>. For programs: <a href="/openapi.json">openapi.json</a>.</p></header>
<main><h2>Routes</h2>${operations.join("")}<h2>Objects</h2>${schemas.join("")}</main>
</body>
</html>
`;
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  const parameters = (operation.parameters ?? []).map(
    (parameter) =>
      `<li><code>${escapeHtml(parameter.name)}</code> (${escapeHtml(parameter.in)}) ${typeHtml(parameter.schema)}</li>`,
  );
  const answers = Object.entries(operation.responses ?? {}).map(([status, { description, content }]) => {
    const types = Object.entries(content ?? {}).map(([type, { schema }]) => `${escapeHtml(type)}: ${typeHtml(schema)}`);
    return `<li><b>${escapeHtml(status)}</b> ${prose(description)} ${types.join("; ")}</li>`;
  });
  return `<details id="${escapeHtml(`${method}-${path}`)}"><summary><b class="${method}">${method.toUpperCase()}</b> <code>${escapeHtml(path)}</code> ${escapeHtml(operation.summary ?? "")}</summary>
<p>${prose(operation.description)}</p>
${parameters.length > 0 ? `<h4>Parameters</h4><ul>${parameters.join("")}</ul>` : ""}
${body ? `<h4>Body</h4><p>${typeHtml(body)}</p>` : ""}
<h4>Replies</h4><ul>${answers.join("")}</ul></details>`;
}

function schemaHtml(name: string, schema: Schema): string {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(
    ([key, field]) =>
      `<tr><td><code>${escapeHtml(key)}</code>${required.has(key) ? " *" : ""}</td><td>${typeHtml(field)}</td><td>${prose(field.description)}</td></tr>`,
  );
  const inside = rows.length > 0 ? `<table>${rows.join("")}</table>` : `<p>${typeHtml(schema)}</p>`;
  return `<section id="${escapeHtml(name)}"><h3>${escapeHtml(name)}</h3>${inside}</section>`;
}

/** A schema in a few words; named ones as links. */
function typeHtml(schema: Schema | undefined): string {
  if (!schema) return "";
  if (schema.$ref) {
    const name = escapeHtml(schema.$ref.split("/").at(-1)!);
    return `<a href="#${name}">${name}</a>`;
  }
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`;
  if (schema.enum) return schema.enum.map((value) => `<code>${escapeHtml(JSON.stringify(value))}</code>`).join(" | ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map(typeHtml).join(" | ");
  if (schema.items) return `list of ${typeHtml(schema.items)}${bounds(schema)}`;
  const type = typeof schema.type === "string" ? schema.type : (schema.type ?? ["any"]).join(" | ");
  return escapeHtml(type) + bounds(schema);
}

function bounds({ minimum, exclusiveMinimum, maximum, maxLength, maxItems }: Schema): string {
  const parts = [
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `≥ ${minimum}` : "",
    exclusiveMinimum !== undefined ? `> ${exclusiveMinimum}` : "",
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `≤ ${maximum}` : "",
    maxLength !== undefined ? `up to ${maxLength} characters` : "",
    maxItems !== undefined ? `up to ${maxItems}` : "",
  ].filter((part) => part !== "");
  return parts.length > 0 ? ` (${parts.join(", ")})` : "";
}

/** A sentence; `names` in it as code. */
function prose(text = ""): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const css = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
summary { cursor: pointer; padding: .25rem 0; }
details > :not(summary) { margin-left: 1rem; }
summary b { display: inline-block; min-width: 4.5rem; }
h4 { margin-bottom: 0; }
table { border-collapse: collapse; }
td { border-top: 1px solid #8884; padding: .2rem .6rem .2rem 0; vertical-align: top; }
code { font: .9em ui-monospace, monospace; }
`;
