/** A bundle's files over HTTP: `GET /v1/models/{model}/bundle/{file}` of an Aerie server, from any byte on. */

import { MANIFEST_FILE } from "../../shared/checkpoint/bundle-manifest.ts";
import { AerieError } from "../../shared/errors.ts";

export interface BundleServer {
  /** Without a slash at its end: `https://…/v1/models/my-model/bundle`. */
  readonly url: string;
  readonly apiKey: string;
}

export interface Transfer {
  /** The first byte that comes: what was asked for, or 0 where the server knows no ranges or has another file by now. */
  readonly begin: number;
  readonly body: ReadableStream<Uint8Array>;
}

export const bundleUrl = (origin: string, model: string): string =>
  `${origin}/v1/models/${encodeURIComponent(model)}/bundle`;

/** Asks for a file from `offset` on; `sha256` is the version that the bytes before belong to, null if there are none. */
export async function openTransfer(
  { url, apiKey }: BundleServer,
  file: string,
  offset: number,
  sha256: string | null,
  signal: AbortSignal | undefined,
): Promise<Transfer> {
  const headers = new Headers({ authorization: `Bearer ${apiKey}` });
  if (offset > 0) headers.set("range", `bytes=${offset}-`);
  if (offset > 0 && sha256 !== null) headers.set("if-range", `"${sha256}"`);
  const response = await request(url, file, headers, signal);
  const { body } = response;
  if (!body) throw new AerieError("bundle.server", `${file}: the server answered without a body`);
  if (response.status === 200) return { begin: 0, body };
  const range = response.headers.get("content-range");
  const begin = Number(/^bytes (\d+)-/.exec(range ?? "")?.[1]);
  if (response.status !== 206 || begin !== offset) {
    await body.cancel();
    throw new AerieError(
      "bundle.server",
      `${file}: asked for the bytes from ${offset} on, the server answered ${response.status} with Content-Range ${range}`,
    );
  }
  return { begin, body };
}

/** The bytes of a transfer as they come. Whoever stops iterating ends it. */
export async function* pieces(
  file: string,
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        signal?.throwIfAborted();
        throw interrupted(file, cause);
      });
      if (done) return;
      yield value as Uint8Array<ArrayBuffer>;
    }
  } finally {
    reader.cancel().catch(() => undefined); // left early: nobody waits for the rest
  }
}

export const interrupted = (file: string, cause?: unknown): AerieError =>
  new AerieError(
    "bundle.interrupted",
    `The download broke off in ${file}: start again; what has come stays and is not fetched twice`,
    { cause },
  );

async function request(
  url: string,
  file: string,
  headers: Headers,
  signal: AbortSignal | undefined,
): Promise<Response> {
  let response: Response;
  try {
    // Not into the HTTP cache: the bundle's own place would be its second.
    response = await fetch(`${url}/${encodeURIComponent(file)}`, {
      headers,
      cache: "no-store",
      ...(signal && { signal }),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(url, cause);
  }
  if (response.ok) return response;
  throw await refusal(response, file);
}

function unreachable(url: string, cause: unknown): AerieError {
  const { host } = new URL(url);
  return new AerieError(
    "bundle.unreachable",
    `${host} can't be reached: check the connection and start again; what has come stays and is not fetched twice`,
    { cause },
  );
}

/** What the status means for a download and what to do; the server's own sentence behind it. */
async function refusal(response: Response, file: string): Promise<AerieError> {
  const { status } = response;
  const said = await response
    .json()
    .then((body: { error?: { message?: string } }) => body.error?.message)
    .catch(() => undefined);
  const [code, sentence] = meaning(status, file);
  return new AerieError(code, `${sentence}. The server said ${status}${said ? `: ${said}` : ""}`);
}

function meaning(status: number, file: string): [code: string, sentence: string] {
  if (status === 401) return ["bundle.unauthorized", "The API key is missing or wrong: enter another one"];
  if (status === 403) return ["bundle.forbidden", "This model may not be downloaded: choose another one"];
  if (status === 404 && file === MANIFEST_FILE)
    return ["bundle.unknown-model", "There is no such model: check the model's name"];
  if (status === 429) return ["bundle.busy", "Too many requests: wait a moment and start again"];
  return ["bundle.server", `The server can't hand out ${file} now: start again later`];
}
