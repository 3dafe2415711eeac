import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { candidatesOf } from "../../shared/sampler/candidates.ts";
import { keepMinP, keepTopP, keepTypical } from "../../shared/sampler/filters.ts";
import { defaultSampling, type SamplingOptions } from "../../shared/sampler/options.ts";
import { SampleScratch } from "../../shared/sampler/scratch.ts";
import { filtersArbitrary, logitsArbitrary, normalLogits, propertyRuns } from "./inputs.ts";
import { naiveCandidates } from "./naive.ts";

type Filters = Pick<SamplingOptions, "temperature" | "topK" | "typicalP" | "topP" | "minP">;

function candidatesLeft(logits: ArrayLike<number>, filters: Partial<Filters>) {
  const { temperature, topK, typicalP, topP, minP } = { ...defaultSampling, ...filters };
  const scratch = new SampleScratch(logits.length);
  scratch.logits.set(logits);
  const largest = Array.from(logits).reduce((a, b) => Math.max(a, b), -Infinity);
  const candidates = candidatesOf(scratch, largest, temperature, topK);
  keepTypical(candidates, typicalP, scratch);
  keepTopP(candidates, topP);
  keepMinP(candidates, minP);
  return candidates;
}

/** The ids left by the filters, in ascending order. */
function left(logits: ArrayLike<number>, filters: Partial<Filters>): number[] {
  const { ids, count } = candidatesLeft(logits, filters);
  return Array.from(ids.subarray(0, count).sort());
}

function naiveLeft(logits: ArrayLike<number>, filters: Partial<Filters>): number[] {
  return naiveCandidates(logits, { ...defaultSampling, ...filters })
    .map(({ id }) => id)
    .sort((a, b) => a - b);
}

const only = (name: keyof Filters) => filtersArbitrary.map((filters) => ({ [name]: filters[name] }));

describe("against sorting the whole vocabulary", () => {
  it.each(["temperature", "topK", "typicalP", "topP", "minP"] as const)("%s alone leaves the same tokens", (name) => {
    const property = fc.property(logitsArbitrary, only(name), (logits, filters) => {
      expect(left(logits, filters)).toEqual(naiveLeft(logits, filters));
    });
    fc.assert(property, propertyRuns);
  });

  it("all together leave the same tokens", () => {
    const property = fc.property(logitsArbitrary, filtersArbitrary, (logits, filters) => {
      expect(left(logits, filters)).toEqual(naiveLeft(logits, filters));
    });
    fc.assert(property, { ...propertyRuns, numRuns: 2000 });
  });

  const shapes = {
    flat: () => 0,
    "rounded to halves": (id: number) => Math.round(normal[id]! * 2) / 2,
    normal: (id: number) => normal[id]!,
    peaked: (id: number) => (id % 997 === 5 ? 12 + normal[id]! : normal[id]!),
    ascending: (id: number) => id / 5000,
    descending: (id: number) => -id / 5000,
    "up and down": (id: number) => -Math.abs(id - 10_000) / 5000,
  };
  const normal = normalLogits(20_000, 3n, 3);
  const largeFilters: Partial<Filters>[] = [
    { topK: 40 },
    { topK: 19_999 },
    { topP: 0.95 },
    { topP: 0.3, minP: 0.2 },
    { typicalP: 0.9 },
    { minP: 0.05 },
    { temperature: 1.7, topK: 5000, typicalP: 0.9, topP: 0.9, minP: 0.01 },
  ];
  it.each(Object.entries(shapes))("20,000 logits, %s, leave the same tokens", (_, shape) => {
    const logits = Float32Array.from(normal, (_, id) => shape(id));
    for (const filters of largeFilters) expect(left(logits, filters)).toEqual(naiveLeft(logits, filters));
  });
});

describe("masses", () => {
  it("are the softmax to the precision of a double, and their sum is exact", () => {
    const property = fc.property(logitsArbitrary, (logits) => {
      const { ids, count, mass, total } = candidatesLeft(logits, {});
      const largest = Math.max(...logits);
      const sum = logits.reduce((z, logit) => z + Math.exp(logit - largest), 0);
      let added = 0n;
      for (const id of ids.subarray(0, count)) {
        const probability = Math.exp(logits[id]! - largest) / sum;
        expect(Math.abs(mass[id]! / total - probability)).toBeLessThan(2 ** -49);
        added += BigInt(mass[id]!);
      }
      expect(BigInt(total)).toBe(added);
      expect(total).toBeLessThan(2 ** 53);
    });
    fc.assert(property, propertyRuns);
  });

  it("stay below 2⁵³ in sum for the largest, flattest vocabulary", () => {
    const { total, count } = candidatesLeft(new Float32Array(256_000), {});
    expect(count).toBe(256_000);
    expect(total).toBeLessThan(2 ** 53);
    expect(total).toBeGreaterThan(2 ** 50);
  });
});

describe("topK", () => {
  it("keeps lower ids among equals", () => {
    expect(left([1, 3, 2, 2, 2], { topK: 3 })).toEqual([1, 2, 3]);
  });

  it("keeps all for 0, for V and for more", () => {
    for (const topK of [0, 3, 99]) expect(left([1, 2, 3], { topK })).toEqual([0, 1, 2]);
  });

  it("never brings banned tokens back", () => {
    expect(left([-Infinity, 2, -Infinity], { topK: 2 })).toEqual([1]);
  });
});

describe("topP", () => {
  const logits = [Math.log(0.5), Math.log(0.3), Math.log(0.2)];

  it.each([
    [0, [0]],
    [0.49, [0]],
    [0.51, [0, 1]],
    [0.79, [0, 1]],
    [0.81, [0, 1, 2]],
    [1, [0, 1, 2]],
  ])("%d keeps the fewest that hold it", (topP, ids) => {
    expect(left(logits, { topP })).toEqual(ids);
  });

  it("cuts equal tokens exactly, lower ids first", () => {
    for (let count = 1; count <= 100; count++) {
      for (let kept = 1; kept <= count; kept++) {
        expect(left(new Array(count).fill(7), { topP: kept / count }), `${kept} of ${count}`).toHaveLength(kept);
      }
    }
    expect(left([1, 1, 1, 1], { topP: 0.5 })).toEqual([0, 1]);
  });

  it("counts a share of what topK left", () => {
    // Of 0.4, 0.3, 0.2, 0.1 the first two hold 0.7; the first alone 4/7 = 0.571 of that.
    const logits = [0.4, 0.3, 0.2, 0.1].map(Math.log);
    expect(left(logits, { topP: 0.55 })).toEqual([0, 1]);
    expect(left(logits, { topK: 2, topP: 0.55 })).toEqual([0]);
  });
});

describe("typicalP", () => {
  it("can leave out the most likely token", () => {
    const probabilities = [0.5, 0.2, 0.15, 0.15]; // entropy 1.238; distances from it 0.545, 0.372, 0.660, 0.660
    expect(left(probabilities.map(Math.log), { typicalP: 0.1 })).toEqual([1]);
    expect(left(probabilities.map(Math.log), { typicalP: 0.6 })).toEqual([0, 1]);
    expect(left(probabilities.map(Math.log), { typicalP: 0.8 })).toEqual([0, 1, 2]);
  });

  it("keeps lower ids among equals", () => {
    expect(left(new Array(8).fill(0), { typicalP: 0.5 })).toEqual([0, 1, 2, 3]);
  });
});

describe("minP", () => {
  it("measures against the most likely token", () => {
    const logits = [0.5, 0.3, 0.15, 0.05].map(Math.log);
    expect(left(logits, { minP: 0.05 })).toEqual([0, 1, 2, 3]);
    expect(left(logits, { minP: 0.2 })).toEqual([0, 1, 2]);
    expect(left(logits, { minP: 0.5 })).toEqual([0, 1]);
    expect(left([2, 5, 5, 1], { minP: 1 })).toEqual([1, 2]);
  });

  it("means the most likely token that is left", () => {
    const logits = [0.5, 0.2, 0.15, 0.15].map(Math.log);
    expect(left(logits, { typicalP: 0.1, minP: 0.9 })).toEqual([1]);
  });
});
