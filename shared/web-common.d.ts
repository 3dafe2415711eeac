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
