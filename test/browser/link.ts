/**
 * What lies between browser and server: counts what goes through, and can break. Each link has an address of its own, so a
 * browser has an origin of its own for it, with nothing stored.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** One download of a file of a bundle. */
export interface Served {
  readonly file: string;
  /** The first byte that was asked for. */
  readonly from: number;
  bytes: number;
}

/** What happens when so many bytes of weights went through: the connection is cut, or nothing more comes. */
interface Trouble {
  readonly kind: "cut" | "hang";
  leftBytes: number;
}

const CHUNK_BYTES = 64 * 1024;

export class Link {
  /** Downloads of weights, in order. */
  readonly served: Served[] = [];
  /** Changes the bytes of weights on their way. */
  tamper: ((bytes: Buffer) => Buffer) | null = null;
  /** Answers with a status, in place of the server, where the path is such. */
  refusal: { readonly path: RegExp; readonly status: number } | null = null;
  /** Asks the server for another path: what was deployed in the place of this one. */
  rewrite: ((path: string) => string) | null = null;
  /** JavaScript that runs in the page's worker before its own: how a browser is given what it has not, or loses what it has. */
  workerPrelude = "";
  /** Cuts the connection in the middle of a manifest. */
  cutsManifests = false;
  /** Settles once the browser has stored so many bytes of weights: what it has received and not read is lost when a connection breaks. */
  hasStored: ((bytes: number) => Promise<void>) | null = null;
  /** Answers every request for a range with the whole file. */
  knowsRanges = true;
  url = "";
  readonly #server: Server;
  readonly #target: string;
  #trouble: Trouble | null = null;
  #onHang: (() => void) | null = null;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer(
      (incoming, outgoing) => void this.#forward(incoming, outgoing).catch(() => outgoing.destroy()),
    );
  }

  static async to(target: string): Promise<Link> {
    const link = new Link(target);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    link.url = `http://127.0.0.1:${(link.#server.address() as AddressInfo).port}`;
    return link;
  }

  /** Once `bytes` more of weights went through, the connection is closed in the middle. */
  cutAfter(bytes: number): void {
    this.#trouble = { kind: "cut", leftBytes: bytes };
  }

  /** Once `bytes` more of weights went through, nothing follows; settles then. */
  hangAfter(bytes: number): Promise<void> {
    this.#trouble = { kind: "hang", leftBytes: bytes };
    return new Promise((resolve) => {
      this.#onHang = resolve;
    });
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #forward(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = incoming.url ?? "";
    if (this.refusal?.path.test(path)) {
      outgoing.writeHead(this.refusal.status).end();
      return;
    }
    const { "accept-encoding": _, ...headers } = incoming.headers; // bytes as they are
    if (!this.knowsRanges) delete headers.range;
    const target = `${this.#target}${this.rewrite?.(path) ?? path}`;
    const onward = request(target, { method: incoming.method ?? "GET", headers });
    incoming.pipe(onward);
    const [answer] = (await once(onward, "response")) as [IncomingMessage];
    if (/\/assets\/worker-[^/]+\.js$/.test(path)) {
      const { "content-length": _, ...sent } = answer.headers;
      outgoing.writeHead(answer.statusCode ?? 500, sent).end(`${this.workerPrelude}\n${await text(answer)}`);
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
    if (this.cutsManifests && path.endsWith("/bundle/manifest.json")) {
      const [chunk] = (await once(answer, "data")) as [Buffer];
      answer.resume();
      outgoing.write(chunk.subarray(0, chunk.length >> 1), () => outgoing.destroy());
      return;
    }
    const file = /\/bundle\/(weights-\d+\.bin)$/.exec(path)?.[1];
    if (file === undefined || (answer.statusCode ?? 500) >= 300) {
      answer.pipe(outgoing);
      return;
    }
    const from = Number(/^bytes (\d+)-/.exec(answer.headers["content-range"] ?? "")?.[1] ?? 0);
    const served: Served = { file, from, bytes: 0 };
    this.served.push(served);
    const left = new AbortController();
    outgoing.on("close", () => {
      left.abort();
      onward.destroy();
    });
    for await (const chunk of answer as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
        if (!(await this.#pass(chunk.subarray(at, at + CHUNK_BYTES), served, outgoing, left.signal))) return;
      }
    outgoing.end();
  }

  /** false: nothing more goes through. */
  async #pass(chunk: Buffer, served: Served, outgoing: ServerResponse, left: AbortSignal): Promise<boolean> {
    const trouble = this.#trouble;
    const bytes = chunk.subarray(0, trouble?.leftBytes ?? chunk.length);
    served.bytes += bytes.length;
    const isTaken = outgoing.write(this.tamper?.(bytes) ?? bytes);
    if (!isTaken && !left.aborted) await once(outgoing, "drain", { signal: left }).catch(() => undefined);
    if (!trouble) return !left.aborted;
    trouble.leftBytes -= bytes.length;
    if (trouble.leftBytes > 0) return !left.aborted;
    this.#trouble = null;
    await this.hasStored?.(this.served.reduce((sum, { bytes }) => sum + bytes, 0));
    if (trouble.kind === "cut") outgoing.destroy();
    else this.#onHang?.();
    return false;
  }
}
