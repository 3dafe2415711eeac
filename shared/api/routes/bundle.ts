/** /v1/models/{model}/bundle/{file}: a model's own bytes, for clients that compute themselves. Only what its manifest names. */

import { createRoute, z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { parseByteRange } from "../byte-range.ts";
import { type App, errors, findModel } from "../context.ts";
import type { BundleFile, Services } from "../services.ts";

const bytes = { content: { "application/octet-stream": { schema: { type: "string", format: "binary" } as const } } };

const download = createRoute({
  method: "get",
  path: "/v1/models/{model}/bundle/{file}",
  summary: "Download a file of a model's bundle",
  description:
    "`manifest.json` names the others, with their sizes and sha256. `Range` (one range), `If-Range` and `If-None-Match` are " +
    "understood; the ETag is the sha256 in the manifest. 403 unless the deployment offers the model for download.",
  request: { params: z.object({ model: z.string(), file: z.string() }) },
  responses: {
    200: { description: "The file.", ...bytes },
    206: { description: "The part that `Range` asked for.", ...bytes },
    304: { description: "The file is the one that `If-None-Match` names." },
    ...errors,
  },
});

export function addBundleRoutes(app: App, services: Services): void {
  app.openapi(download, async (context) => {
    const { model: name, file: fileName } = context.req.valid("param");
    const model = findModel(services, name);
    if (!model.isDownloadable)
      throw new ApiError(
        403,
        "model_not_downloadable",
        `The weights of '${model.id}' are not offered for download. Who deployed this server can set "download": true for it in AERIE_MODELS.`,
        { param: "model" },
      );
    const file = await services.bundleFile(model.id, fileName);
    if (!file)
      throw new ApiError(
        404,
        "file_not_found",
        `The bundle of '${model.id}' names no file '${fileName.slice(0, 80)}'; its manifest.json lists them.`,
        { param: "file" },
      );
    return reply(file, {
      range: context.req.header("range"),
      ifRange: context.req.header("if-range"),
      ifNoneMatch: context.req.header("if-none-match"),
      isHead: context.req.raw.method === "HEAD",
    });
  });
}

interface Conditions {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly isHead: boolean;
}

async function reply(file: BundleFile, { range, ifRange, ifNoneMatch, isHead }: Conditions): Promise<Response> {
  const etag = `"${file.sha256}"`;
  const headers = new Headers({
    "content-type": "application/octet-stream",
    "accept-ranges": "bytes",
    etag,
    "cache-control": "private, no-cache", // a model may be replaced under its name; the ETag tells
  });
  if (ifNoneMatch?.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag))
    return new Response(null, { status: 304, headers });
  const part = ifRange === undefined || ifRange === etag ? parseByteRange(range, file.bytes) : null;
  if (part === "unsatisfiable")
    throw new ApiError(416, "range_not_satisfiable", `Expected a range within ${file.bytes} bytes, found ${range}.`);
  const { offset, length } = part ?? { offset: 0, length: file.bytes };
  headers.set("content-length", String(length));
  if (part) headers.set("content-range", `bytes ${offset}-${offset + length - 1}/${file.bytes}`);
  return new Response(isHead ? null : await file.stream(offset, length), { status: part ? 206 : 200, headers });
}
