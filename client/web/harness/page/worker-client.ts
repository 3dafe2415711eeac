/** The page's end of the worker: one request at a time, with what comes meanwhile. */

import { AerieError } from "../../../../shared/errors.ts";
import type { LoadRequest, LoadResult, Reply, Request, RunRequest, RunResult } from "../messages.ts";

export interface WorkerEvents {
  readonly onProgress: (progress: Extract<Reply, { type: "progress" }>["progress"]) => void;
  readonly onText: (text: string) => void;
}

interface Pending {
  resolve(result: LoadResult | RunResult): void;
  reject(error: AerieError): void;
}

export class WorkerClient {
  readonly #worker = new Worker(new URL("../worker.ts", import.meta.url), { type: "module" });
  readonly #pending = new Map<number, Pending>();
  #failure: AerieError | null = null;
  #requests = 0;

  constructor({ onProgress, onText }: WorkerEvents) {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.type === "progress") onProgress(data.progress);
      else if (data.type === "text") onText(data.text);
      else this.#settle(data);
    };
    // A script that does not load says so when nothing may have been asked yet.
    this.#worker.onerror = ({ message }) => this.#fail(message || "it could not be started");
    this.#worker.addEventListener("messageerror", () => this.#fail("its answer can't be read")); // Chromium has no onmessageerror here
  }

  load(request: Omit<LoadRequest, "type">): Promise<LoadResult> {
    return this.#ask({ type: "load", ...request }) as Promise<LoadResult>;
  }

  run(request: Omit<RunRequest, "type">): Promise<RunResult> {
    return this.#ask({ type: "run", ...request }) as Promise<RunResult>;
  }

  /** Ends what is running; its promise is rejected with the code `cancelled`. */
  cancel(): void {
    this.#send({ type: "cancel", id: 0 });
  }

  #ask(request: LoadRequest | RunRequest): Promise<LoadResult | RunResult> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = ++this.#requests;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send({ ...request, id });
    });
  }

  /** Nobody is left to settle what was asked, or what will be. */
  #fail(reason: string): void {
    this.#failure = new AerieError("worker", `The worker failed: ${reason}. Reload the page`);
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
  }

  #send(request: Request): void {
    this.#worker.postMessage(request);
  }

  #settle(reply: Extract<Reply, { type: "done" | "failed" }>): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.type === "done") pending?.resolve(reply.result);
    else pending?.reject(new AerieError(reply.code, reply.message));
  }
}
