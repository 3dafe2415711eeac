/** The harness page as a test drives it: its buttons, the worker behind them, and what lies in the browser's storage. */

import type { BrowserContext, Page } from "playwright";
import type { BackendKind } from "../../client/web/backends.ts";
import type { LoadResult, RunRequest, RunResult } from "../../client/web/harness/messages.ts";
import type { WorkerClient } from "../../client/web/harness/page/worker-client.ts";
import type { Link } from "./link.ts";

export interface OpenOptions {
  readonly key: string;
  readonly model?: string;
}

/** How a load ended. */
export type Outcome =
  | { readonly ok: true; readonly result: LoadResult }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface Saved {
  readonly position: number;
  readonly bytes: Uint8Array;
}

export interface Run extends Omit<RunResult, "firstLogits" | "logits" | "state"> {
  /** Of all steps, one after the other. */
  readonly logits: Float32Array;
  readonly state: Saved;
}

declare const harness: WorkerClient;

export class HarnessPage {
  readonly page: Page;
  readonly #link: Link;

  private constructor(page: Page, link: Link) {
    this.page = page;
    this.#link = link;
  }

  static async open(context: BrowserContext, link: Link, { key, model }: OpenOptions): Promise<HarnessPage> {
    const page = await context.newPage();
    await page.goto(`${link.url}/browser/${model ? `?model=${model}` : ""}#key=${key}`);
    const opened = new HarnessPage(page, link);
    link.hasStored = (bytes) => opened.#waitForWeights(bytes);
    return opened;
  }

  get status(): Promise<string> {
    return this.page.locator("#status").innerText();
  }

  result(name: string): Promise<string> {
    return this.page.locator(`#result-${name}`).innerText();
  }

  async press(name: "Load" | "Resume" | "Cancel" | "Generate"): Promise<void> {
    await this.page.getByRole("button", { name }).click();
  }

  /** Until the status line begins so. */
  async waitFor(beginning: string): Promise<void> {
    await this.page.waitForFunction(
      (text) => document.querySelector<HTMLOutputElement>("#status")?.value.startsWith(text),
      beginning,
    );
  }

  /** Loads a model past the buttons. */
  load({ key, model }: Required<OpenOptions>, backend?: BackendKind): Promise<Outcome> {
    return this.page.evaluate(
      async ([origin, model, apiKey, backend]) => {
        try {
          const result = await harness.load({ origin, model, apiKey, ...(backend && { backend }) });
          return { ok: true as const, result };
        } catch (error) {
          const { code, message } = error as { code: string; message: string };
          return { ok: false as const, code, message };
        }
      },
      [this.#link.url, model, key, backend] as const,
    );
  }

  /** Runs past the buttons, and keeps the logits. Bytes leave the page as base64. */
  async run(request: {
    prompt: RunRequest["prompt"];
    maxTokens: number;
    follow?: readonly number[];
    state?: Saved;
  }): Promise<Run> {
    const { state, ...rest } = request;
    const saved = state && { position: state.position, base64: Buffer.from(state.bytes).toString("base64") };
    const result = await this.page.evaluate(
      async ({ saved, rest }) => {
        const base64 = async (parts: (Uint8Array | Float32Array)[]): Promise<string> => {
          const url = await new Promise<string>((resolve) => {
            const reader = new FileReader();
            reader.onload = () => resolve(reader.result as string);
            reader.readAsDataURL(new Blob(parts as BlobPart[]));
          });
          return url.slice(url.indexOf(",") + 1);
        };
        const state = saved && {
          position: saved.position,
          bytes: Uint8Array.from(atob(saved.base64), (letter) => letter.charCodeAt(0)),
        };
        const result = await harness.run({ ...rest, keepsLogits: true, ...(state && { state }) });
        const { firstLogits: _, logits, state: after, ...numbers } = result;
        return {
          ...numbers,
          logits: await base64(logits as Float32Array[]),
          position: after.position,
          state: await base64([after.bytes]),
        };
      },
      { saved, rest },
    );
    const { logits, position, state: bytes, ...numbers } = result;
    const floats = new Uint8Array(Buffer.from(logits, "base64"));
    return {
      ...numbers,
      logits: new Float32Array(floats.buffer),
      state: { position, bytes: new Uint8Array(Buffer.from(bytes, "base64")) },
    };
  }

  /** Bytes of every file that this origin stores of a bundle, by digest and name. */
  versions(): Promise<Record<string, Record<string, number>>> {
    return this.page.evaluate(async () => {
      const versions: Record<string, Record<string, number>> = {};
      const visit = async (folder: FileSystemDirectoryHandle) => {
        for await (const handle of folder.values())
          if (handle.kind === "directory") await visit(handle as FileSystemDirectoryHandle);
          else {
            versions[folder.name] ??= {};
            versions[folder.name][handle.name] = (await (handle as FileSystemFileHandle).getFile()).size;
          }
      };
      await visit(await navigator.storage.getDirectory());
      return versions;
    });
  }

  /** Of the only version that is stored. */
  async stored(): Promise<Record<string, number>> {
    return Object.values(await this.versions())[0] ?? {};
  }

  async #waitForWeights(bytes: number): Promise<void> {
    for (;;) {
      const files = Object.values(await this.versions()).flatMap((sizes) => Object.entries(sizes));
      const weights = files.filter(([file]) => file.endsWith(".bin"));
      if (weights.reduce((sum, [, size]) => sum + size, 0) >= bytes) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** What a disk or a browser may do to a stored file. */
  damage(file: string, how: "flip a byte" | "cut in half" | "remove"): Promise<void> {
    return this.page.evaluate(
      async ([file, how]) => {
        const visit = async (folder: FileSystemDirectoryHandle): Promise<void> => {
          for await (const handle of folder.values()) {
            if (handle.kind === "directory") await visit(handle as FileSystemDirectoryHandle);
            else if (handle.name === file) {
              if (how === "remove") return folder.removeEntry(file);
              const { size } = await (handle as FileSystemFileHandle).getFile();
              const writable = await (handle as FileSystemFileHandle).createWritable({ keepExistingData: true });
              if (how === "cut in half") await writable.truncate(size >> 1);
              else {
                const at = size >> 1;
                const [byte] = new Uint8Array(
                  await (await (handle as FileSystemFileHandle).getFile()).slice(at, at + 1).arrayBuffer(),
                );
                await writable.write({ type: "write", position: at, data: Uint8Array.of(byte ^ 0x10) });
              }
              await writable.close();
            }
          }
        };
        await visit(await navigator.storage.getDirectory());
      },
      [file, how] as const,
    );
  }

  /** Reloads once the server is gone, and whatever the browser's HTTP cache had of it. The browser stays offline. */
  async reloadWithoutServer(): Promise<void> {
    await this.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    const context = this.page.context();
    const devtools = await context.newCDPSession(this.page);
    await devtools.send("Network.clearBrowserCache");
    await this.#link.close();
    await context.setOffline(true);
    await this.page.reload();
  }

  async close(): Promise<void> {
    await this.page.close();
  }
}
