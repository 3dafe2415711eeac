/** Can a file crash the reader, hang it, make it take memory, or be read wrongly?  Files of every bad shape that we know. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../shared/errors.ts";
import { FILE, judge, refusalOf } from "./judge.ts";
import { f32, headerText, objectText, recordingSource, safetensorsFile } from "./sources.ts";

const MIB = 2 ** 20;

interface RawTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: number[];
  readonly data: Uint8Array;
}

const bytesPerElement: Record<string, number> = { F32: 4, BF16: 2, F16: 2, U8: 1, I64: 8 };
const lengthOf = ({ dtype, shape }: Pick<RawTensor, "dtype" | "shape">): number =>
  shape.reduce((product, side) => product * side, bytesPerElement[dtype]);

/** Any name that JSON can say and `__metadata__` is not; those that objects know by themselves often. */
const tensorName = fc
  .oneof(
    fc.constantFrom("", "__proto__", "constructor", "toString", "length", "0", "model.embed_tokens.weight"),
    fc.string({ unit: "binary", maxLength: 20 }),
  )
  .filter((name) => name !== "__metadata__");

const rawTensor: fc.Arbitrary<RawTensor> = fc
  .record({
    name: tensorName,
    dtype: fc.constantFrom(...Object.keys(bytesPerElement)),
    shape: fc.array(fc.nat(3), { maxLength: 4 }),
  })
  .chain((tensor) => {
    const length = lengthOf(tensor);
    return fc.uint8Array({ minLength: length, maxLength: length }).map((data) => ({ ...tensor, data }));
  });

const rawTensors = fc.uniqueArray(rawTensor, { maxLength: 6, selector: ({ name }) => name });

const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

/** Name and entry of every tensor, laid out back to back. */
function entriesOf(tensors: readonly RawTensor[]): [name: string, entry: Record<string, unknown>][] {
  let end = 0;
  return tensors.map(({ name, dtype, shape, data }) => {
    const begin = end;
    end += data.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
}

/** Small and of all readable dtypes; 32 bytes of data. */
const plainEntries = {
  a: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] },
  b: { dtype: "BF16", shape: [4], data_offsets: [16, 24] },
  c: { dtype: "F16", shape: [1, 4, 1], data_offsets: [24, 32] },
};
const plainData = Uint8Array.from({ length: 32 }, (_, at) => (at % 2 ? 0x3c : at));
const plainHeader = JSON.stringify({ __metadata__: { format: "pt" }, ...plainEntries });
const plainFile = safetensorsFile(plainHeader, plainData);

describe("sound files", () => {
  test("load, with any names and shapes, and with the header's entries in any order", async () => {
    const file = rawTensors.chain((tensors) => {
      const entries = entriesOf(tensors);
      const size = entries.length;
      return fc.record({
        data: fc.constant(concat(tensors.map(({ data }) => data))),
        entries: fc.shuffledSubarray(entries, { minLength: size, maxLength: size }),
        padding: fc.nat(9),
      });
    });
    await fc.assert(
      fc.asyncProperty(file, async ({ data, entries, padding }) => {
        const header = headerText(entries) + " ".repeat(padding);
        expect(await judge(safetensorsFile(header, data))).toBe("loads");
      }),
      { numRuns: 300 },
    );
  });

  // biome-ignore format: a table
  test.each([
    ["no tensor", "{}", 0],
    ["metadata only", '{"__metadata__":{"__proto__":"x","":""}}', 0],
    ["an empty tensor amid others", headerText([["a", f32([1], 0, 4)], ["e", f32([0, 7], 4, 4)], ["b", f32([1], 4, 8)]]), 8],
    ["a scalar", headerText([["a", f32([], 0, 4)]]), 4],
    ["numbers written as 4.0 and 0.4e1", '{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[-0,0.4e1]}}', 4],
    ["brackets in names", headerText([["[".repeat(1000), f32([1], 0, 4)], ['{"\\', f32([1], 4, 8)]]), 8],
    ["a zero among sides that overflow", headerText([["a", f32([2 ** 53 - 1, 2 ** 53 - 1, 0], 0, 0)]]), 0],
    ["a header of a whole MiB", headerText([["a", f32([1], 0, 4)]]).padEnd(MIB), 4],
  ])("load: %s", async (_, header, dataBytes) => {
    expect(await judge(safetensorsFile(header, new Uint8Array(dataBytes)))).toBe("loads");
  });
});

describe("damaged files", () => {
  test("cut off at any byte, whether or not the file's size says so", async () => {
    expect(await judge(plainFile)).toBe("loads");
    for (let length = 0; length < plainFile.length; length++) {
      const cut = plainFile.slice(0, length);
      expect(await judge(cut), `${length} bytes`).toBeInstanceOf(CheckpointError);
      await refusalOf(recordingSource(FILE, cut, plainFile.length));
    }
  });

  test("any one bit flipped in length or header", async () => {
    let loads = 0;
    for (let bit = 0; bit < 8 * (plainFile.length - plainData.length); bit++) {
      const flipped = plainFile.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      if ((await judge(flipped)) === "loads") loads++;
    }
    expect(loads).toBeGreaterThan(0); // a name or the metadata with another letter
  });

  test("any few bytes replaced anywhere", async () => {
    const changes = fc.array(fc.tuple(fc.nat(plainFile.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const changed = plainFile.slice();
        for (const [at, byte] of list) changed[at] = byte;
        await judge(changed);
      }),
      { numRuns: 1000 },
    );
  });

  test("bytes after the last tensor", async () => {
    for (const count of [1, 2, 1000]) {
      const error = await judge(safetensorsFile(plainHeader, concat([plainData, new Uint8Array(count)])));
      expect((error as CheckpointError).message).toBe(
        `${FILE} has ${plainFile.length + count} bytes, its header accounts for ${plainFile.length}`,
      );
    }
  });

  test("any other header length, up to 2⁶⁴ − 1", async () => {
    const honest = BigInt(plainHeader.length);
    const lengths = fc
      .oneof(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.bigInt({ min: 0n, max: 2n * honest }),
        fc.constantFrom(2n ** 31n, 2n ** 32n, 2n ** 32n + honest, 2n ** 53n, 2n ** 63n + honest, 2n ** 64n - 1n),
      )
      .filter((length) => length !== honest);
    await fc.assert(
      fc.asyncProperty(lengths, async (length) => {
        expect(await judge(safetensorsFile(plainHeader, plainData, length))).toBeInstanceOf(CheckpointError);
      }),
      { numRuns: 500 },
    );
  });

  test("random bytes", async () => {
    const anyBytes = fc.uint8Array({ maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(anyBytes, async (bytes) => {
        await judge(bytes);
      }),
      { numRuns: 300 },
    );
    const anyHeader = fc.oneof(fc.json(), fc.string());
    await fc.assert(
      fc.asyncProperty(anyHeader, async (header) => {
        await judge(safetensorsFile(header, new Uint8Array(0)));
      }),
      { numRuns: 500 },
    );
  });
});

/** Texts that a field might hold, JSON or not: numbers of every kind, and anything else. */
// biome-ignore format: a table
const hostileTexts = [
  "1e400", "-1e400", "1e308", "-0", "0.5", "-1", "4.0", "1E1", "9007199254740991", "9007199254740993",
  "NaN", "Infinity", "01", "+1", "0x10", ".5", "1_000", "'F32'", "undefined", "[0,]", "//", '"\\x"', "\u2028",
  '"F64"', '"f32"', '"I32"', '"__proto__"', '"constructor"', '""', '"F4"', '"F6_E2M3"', '"F8_E8M0"',
  "[]", "[0]", "[0,4,4]", "[4,0]", "[-4,0]", "[0,-0]", "[[4]]", "[null]", '["4"]', "{}", "[1e400]", "[0.5,2]",
  "[9007199254740991,9007199254740991]", "[4294967296,4294967296]", "[4503599627370496,2]",
];

describe("lying headers", () => {
  const hostileText = fc.oneof(
    fc.constantFrom(...hostileTexts),
    fc.array(fc.integer({ min: -1, max: 40 }), { maxLength: 20 }).map((list) => JSON.stringify(list)),
    fc.json(),
  );

  test("anything in place of a dtype, a shape or offsets", async () => {
    const field = fc.constantFrom("dtype", "shape", "data_offsets", "__proto__", "extra");
    const name = fc.constantFrom(...Object.keys(plainEntries));
    await fc.assert(
      fc.asyncProperty(name, field, hostileText, async (changed, key, text) => {
        const members = Object.entries(plainEntries).map(([name, entry]) => {
          const fields = new Map(Object.entries(entry).map(([each, value]) => [each, JSON.stringify(value)]));
          return [name, objectText([...(name === changed ? fields.set(key, text) : fields)])] as const;
        });
        const verdict = await judge(safetensorsFile(objectText(members), plainData));
        // Text that is not JSON has no tensors. Else this one is to blame, or one that does not fit beside it any more.
        if (verdict !== "loads" && isJson(text)) expect(verdict.tensor).toBeDefined();
      }),
      { numRuns: 1500 },
    );
  });

  test("any offsets: what loads has every byte in one tensor", async () => {
    let loads = 0;
    const steps = Array.from({ length: 9 }, (_, step) => 4 * step);
    for (const a of steps) {
      for (const b of steps) {
        for (const c of steps) {
          const moved = { a: f32([2, 2], a, a + 16), b: f32([2], b, b + 8), c: f32([2], c, c + 8) };
          if ((await judge(safetensorsFile(JSON.stringify(moved), plainData))) === "loads") loads++;
        }
      }
    }
    expect(loads).toBe(6); // the orders of three tensors
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
