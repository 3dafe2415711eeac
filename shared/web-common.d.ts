// The part of the web platform that Workers, Node and browsers share and `shared/` may use. Nothing else is in scope
// there: no DOM, no Workers and no Node types, so code that leans on one runtime does not compile.

interface TextDecodeOptions {
  stream?: boolean;
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: ArrayBufferView | ArrayBuffer, options?: TextDecodeOptions): string;
}

declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}

declare function setTimeout(callback: () => void, milliseconds?: number): unknown;
declare function clearTimeout(timer: unknown): void;

// -- cancelling

declare class AbortSignal {
  static timeout(milliseconds: number): AbortSignal;
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

// -- streams

interface ReadableStreamDefaultController<Chunk> {
  readonly desiredSize: number | null;
  enqueue(chunk: Chunk): void;
  close(): void;
  error(reason?: unknown): void;
}

interface ReadableStreamDefaultReader<Chunk> {
  read(): Promise<{ done: false; value: Chunk } | { done: true; value?: undefined }>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}

interface UnderlyingSource<Chunk> {
  type?: "bytes";
  start?(controller: ReadableStreamDefaultController<Chunk>): unknown;
  pull?(controller: ReadableStreamDefaultController<Chunk>): unknown;
  cancel?(reason?: unknown): unknown;
}

declare class ReadableStream<Chunk = Uint8Array> {
  constructor(source?: UnderlyingSource<Chunk>, strategy?: { highWaterMark?: number });
  getReader(): ReadableStreamDefaultReader<Chunk>;
  cancel(reason?: unknown): Promise<void>;
}

// -- HTTP

type HeadersInit = Headers | Record<string, string> | [string, string][];

declare class Headers {
  constructor(init?: HeadersInit);
  get(name: string): string | null;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  has(name: string): boolean;
  delete(name: string): void;
  forEach(visit: (value: string, name: string) => void): void;
}

interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: ReadableStream | Uint8Array<ArrayBuffer> | string | null;
  signal?: AbortSignal;
}

declare class Request {
  constructor(input: string | Request, init?: RequestInit);
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  readonly signal: AbortSignal;
  text(): Promise<string>;
  json(): Promise<unknown>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

declare class Response {
  constructor(
    body?: ReadableStream | Uint8Array<ArrayBuffer> | string | null,
    init?: { status?: number; headers?: HeadersInit },
  );
  readonly status: number;
  readonly ok: boolean;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  text(): Promise<string>;
  json(): Promise<unknown>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

declare class URLSearchParams {
  constructor(init?: string | Record<string, string>);
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  forEach(visit: (value: string, name: string) => void): void;
}

declare class URL {
  constructor(url: string, base?: string);
  readonly origin: string;
  readonly pathname: string;
  readonly searchParams: URLSearchParams;
}

// -- WebCrypto: digests and MACs

interface CryptoKey {
  readonly type: string;
}

type Bytes = Uint8Array<ArrayBuffer> | ArrayBuffer;

declare const crypto: {
  getRandomValues<Numbers extends Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(into: Numbers): Numbers;
  randomUUID(): string;
  readonly subtle: {
    digest(algorithm: "SHA-256", data: Bytes): Promise<ArrayBuffer>;
    importKey(
      format: "raw",
      key: Bytes,
      algorithm: { name: "HMAC"; hash: "SHA-256" },
      extractable: boolean,
      usages: ("sign" | "verify")[],
    ): Promise<CryptoKey>;
    sign(algorithm: "HMAC", key: CryptoKey, data: Bytes): Promise<ArrayBuffer>;
    verify(algorithm: "HMAC", key: CryptoKey, signature: Bytes, data: Bytes): Promise<boolean>;
  };
};
