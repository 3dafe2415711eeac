/** What hostile inputs are made of: anything at all, and sound inputs with a few things changed. */

import fc from "fast-check";

/** Values that readers trip over, for the place of any other. */
const junk: readonly unknown[] = [
  ...[null, true, false, "", " ", "0", "__proto__", "constructor", "\u0000", "\ud800", "▁", "x".repeat(300)],
  ...[-1, 0, -0, 1, 0.5, 1e308, -1e308, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 - 1, 1e21, 16_777_217],
  ...[[], {}, [[]], [null], { "": {} }, { type: "Sequence" }, [1, 2], ["a", "b"], { a: [{ b: [] }] }],
];

export const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...junk) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
);

const place = fc.nat(2 ** 22);

// -- bytes

type Bytes = Uint8Array<ArrayBufferLike>;
type ByteEdit = (bytes: Bytes, others: readonly Bytes[]) => Bytes;

const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

const byteEdit: fc.Arbitrary<ByteEdit> = fc.oneof(
  fc.tuple(place, fc.nat(7)).map(([at, bit]) => set(at, (byte) => byte ^ (1 << bit))),
  fc.tuple(place, fc.nat(255)).map(([at, value]) => set(at, () => value)),
  fc
    .tuple(place, fc.constantFrom(0, 0x22, 0x5b, 0x5d, 0x7b, 0x7d, 0x2c, 0x3a, 0x5c, 0xff))
    .map(([at, byte]): ByteEdit => {
      return (bytes) =>
        joined(
          bytes.subarray(0, at % (bytes.length + 1)),
          Uint8Array.of(byte),
          bytes.subarray(at % (bytes.length + 1)),
        );
    }),
  fc.tuple(place, fc.nat(40)).map(([at, length]): ByteEdit => {
    return (bytes) =>
      joined(bytes.subarray(0, at % (bytes.length + 1)), bytes.subarray((at % (bytes.length + 1)) + length));
  }),
  place.map(
    (at): ByteEdit =>
      (bytes) =>
        bytes.slice(0, at % (bytes.length + 1)),
  ),
  fc.uint8Array({ maxLength: 20 }).map(
    (more): ByteEdit =>
      (bytes) =>
        joined(bytes, more),
  ),
  fc.tuple(place, fc.constantFrom(0, 1, 7, 8, 255, 2 ** 16, 2 ** 31, 2 ** 32 - 1)).map(([at, value]): ByteEdit => {
    return (bytes) => {
      if (bytes.length < 4) return bytes;
      const copy = bytes.slice();
      new DataView(copy.buffer).setUint32(at % (bytes.length - 3), value, true);
      return copy;
    };
  }),
  // the beginning of one input, the end of another
  fc.tuple(place, place, fc.nat(7)).map(([cut, from, which]): ByteEdit => {
    return (bytes, others) => {
      const other = others[which % others.length];
      return joined(bytes.subarray(0, cut % (bytes.length + 1)), other.subarray(from % (other.length + 1)));
    };
  }),
);

function set(at: number, change: (byte: number) => number): ByteEdit {
  return (bytes) => {
    const copy = bytes.slice();
    if (copy.length > 0) copy[at % copy.length] = change(copy[at % copy.length]);
    return copy;
  };
}

/** One of some inputs with a few bytes, lengths or ends changed; now and then none. */
export function changedBytes(sound: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.constantFrom(...sound), fc.array(byteEdit, { maxLength: 3 }))
    .map(([bytes, edits]) => edits.reduce((changed, edit) => edit(changed, sound), bytes));
}

export function changedText(sound: readonly string[]): fc.Arbitrary<string> {
  return changedBytes(sound.map((text) => new TextEncoder().encode(text))).map((bytes) =>
    new TextDecoder().decode(bytes),
  );
}

// -- JSON

type Container = Record<string, unknown> | unknown[];

interface JsonEdit {
  /** Which child at each level: modulo their number, until a leaf or the end of the list. */
  readonly path: readonly number[];
  readonly action: "replace" | "remove" | "rename" | "double" | "graft";
  readonly value: unknown;
  readonly name: string;
}

const jsonEdit: fc.Arbitrary<JsonEdit> = fc.record({
  path: fc.array(fc.nat(9999), { minLength: 1, maxLength: 7 }),
  action: fc.constantFrom("replace", "replace", "replace", "remove", "rename", "double", "graft"),
  value: anyValue,
  name: fc.constantFrom("", "a", "__proto__", "constructor", "type", "id", "toString", "length", "0"),
});

/** Values of JSON with a few members replaced, removed, renamed, repeated or swapped for others of the same input. */
export const changedJson = <Value>(sound: readonly Value[], maxEdits = 3): fc.Arbitrary<unknown> =>
  changedValue(fc.constantFrom(...sound), maxEdits);

export function changedValue<Value>(sound: fc.Arbitrary<Value>, maxEdits: number): fc.Arbitrary<unknown> {
  return fc.tuple(sound, fc.array(jsonEdit, { maxLength: maxEdits })).map(([value, edits]) => {
    const root = { value: structuredClone(value) as unknown };
    for (const edit of edits) applyEdit(root, edit);
    return root.value;
  });
}

function applyEdit(root: { value: unknown }, { path, action, value, name }: JsonEdit): void {
  const [parent, key] = slotAt(root, path);
  switch (action) {
    case "replace":
      put(parent, key, value);
      return;
    case "remove":
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
      return;
    case "rename": {
      if (Array.isArray(parent)) {
        put(parent, key, value);
        return;
      }
      const held = parent[key];
      delete parent[key];
      put(parent, name, held);
      return;
    }
    case "double":
      if (Array.isArray(parent)) parent.splice(Number(key), 0, structuredClone(parent[Number(key)]));
      else put(parent, name, parent[key]);
      return;
    case "graft": {
      const [donor, from] = slotAt(root, path.toReversed());
      put(parent, key, Array.isArray(donor) ? donor[Number(from)] : donor[from]);
      return;
    }
    default:
      action satisfies never;
  }
}

function slotAt(root: { value: unknown }, path: readonly number[]): [parent: Container, key: string] {
  let [parent, key]: [Container, string] = [root, "value"];
  for (const step of path) {
    const child: unknown = Array.isArray(parent) ? parent[Number(key)] : parent[key];
    if (typeof child !== "object" || child === null) break;
    const keys = Object.keys(child);
    if (keys.length === 0) break;
    [parent, key] = [child as Container, keys[step % keys.length]];
  }
  return [parent, key];
}

/** One of some inputs; now and then, in `percent` of the cases, one that is as large as they come. */
export const sized = <Input>(
  usual: fc.Arbitrary<Input>,
  large: fc.Arbitrary<Input>,
  percent: number,
): fc.Arbitrary<Input> => fc.oneof({ weight: 100 - percent, arbitrary: usual }, { weight: percent, arbitrary: large });

/** A bound, and the numbers next to it. */
export const nearby = (bound: number): fc.Arbitrary<number> => fc.integer({ min: bound - 1, max: bound + 1 });

/** A copy: what is put in may be changed next. Not by assignment, which would set a prototype. */
function put(parent: Container, key: string, value: unknown): void {
  Object.defineProperty(parent, key, {
    value: structuredClone(value),
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** JSON's text, now and then with what no value can say: a key twice, depth, a comment, a byte order mark, broken bytes. */
export function textOf(values: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  const text = values.map((value) => JSON.stringify(value) ?? "");
  return fc.oneof(
    { weight: 12, arbitrary: text },
    { weight: 1, arbitrary: text.map((json) => json.replace(/^\{("(?:[^"\\]|\\.)*":)/, "{$1null,$1")) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          text,
          fc.oneof(
            { weight: 9, arbitrary: fc.integer({ min: 30, max: 70 }) },
            { weight: 1, arbitrary: fc.constant(30_000) },
          ),
        )
        .map(([json, depth]) => "[".repeat(depth) + json + "]".repeat(depth)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(text, fc.constantFrom("\ufeff", "//\n", "\u0000", "{", "]", ",", "\\"))
        .map(([json, more]) => more + json),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(text, fc.array(byteEdit, { minLength: 1, maxLength: 3 })).map(([json, edits]) => {
        const bytes = new TextEncoder().encode(json);
        return new TextDecoder().decode(edits.reduce<Uint8Array>((changed, edit) => edit(changed, [bytes]), bytes));
      }),
    },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }).map((some) => some.toWellFormed()) },
  );
}
