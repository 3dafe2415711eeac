/** Are stop strings found wherever the stream is cut, and is nothing of them shown? */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../shared/errors.ts";
import { StopMatcher } from "../../shared/tokenizer/stop-matcher.ts";

/** The definition, on the whole text: the first end of any stop, the longest stop that ends there. */
function naive(text: string, stops: readonly string[]): { text: string; stopped: string | null } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { text: text.slice(0, end - found.length), stopped: found };
  }
  return { text, stopped: null };
}

function run(pushes: readonly string[], stops: readonly string[]) {
  const matcher = new StopMatcher(stops);
  let text = "";
  let stopped: string | null = null;
  for (const push of pushes) {
    const shown = matcher.push(push);
    text += shown.text;
    stopped = shown.stopped;
  }
  return { text: text + matcher.end(), stopped };
}

describe("StopMatcher", () => {
  it("agrees with the definition for every way to cut a text", () => {
    const letter = fc.constantFrom("a", "b", "😀", "😃");
    const word = (minLength: number, maxLength: number) => fc.string({ unit: letter, minLength, maxLength });
    fc.assert(
      fc.property(fc.array(word(0, 5), { maxLength: 12 }), fc.array(word(1, 5), { maxLength: 4 }), (pushes, stops) => {
        expect(run(pushes, stops)).toEqual(naive(pushes.join(""), stops));
      }),
      { numRuns: 5000 },
    );
  });

  it("shows everything that can't belong to a stop, at once, and holds back just the rest", () => {
    const letter = fc.constantFrom("a", "b");
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: letter, maxLength: 4 }), { maxLength: 10 }),
        fc.array(fc.string({ unit: letter, minLength: 1, maxLength: 5 }), { maxLength: 3 }),
        (pushes, stops) => {
          const matcher = new StopMatcher(stops);
          let all = "";
          let shown = "";
          for (const push of pushes) {
            const result = matcher.push(push);
            all += push;
            shown += result.text;
            if (result.stopped !== null) return;
            const held = all.slice(shown.length);
            const longest = Array.from(all, (_, at) => all.slice(at)).find((end) =>
              stops.some((s) => s.startsWith(end)),
            );
            expect(held).toBe(longest ?? "");
            expect(matcher.holding).toBe(held !== "");
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("finds a stop that spans many pushes", () => {
    const matcher = new StopMatcher(["\n\nUser:"]);
    expect(matcher.push("Hi.\n")).toEqual({ text: "Hi.", stopped: null });
    expect(matcher.holding).toBe(true);
    for (const part of ["\n", "U", "se", "r"]) expect(matcher.push(part)).toEqual({ text: "", stopped: null });
    expect(matcher.push(": more")).toEqual({ text: "", stopped: "\n\nUser:" });
    expect(matcher.holding).toBe(false);
    expect(matcher.push("and more")).toEqual({ text: "", stopped: "\n\nUser:" });
    expect(matcher.end()).toBe("");
  });

  it("gives back at the end what it held for nothing", () => {
    const matcher = new StopMatcher(["</s>"]);
    expect(matcher.push("a < b </")).toEqual({ text: "a < b ", stopped: null });
    expect(matcher.end()).toBe("</");
    expect(matcher.holding).toBe(false);
  });

  it("lets the stop win that is complete first, and the longer of two that end together", () => {
    expect(run(["xabcd"], ["abcd", "bc"])).toEqual({ text: "xa", stopped: "bc" });
    expect(run(["xabc"], ["bc", "abc", "c"])).toEqual({ text: "x", stopped: "abc" });
  });

  it("without stops shows everything", () => {
    expect(run(["a", "", "b"], [])).toEqual({ text: "ab", stopped: null });
  });

  it("refuses an empty stop string", () => {
    expect(() => new StopMatcher(["a", ""])).toThrow(OptionError);
  });

  it("takes linear time, also where every character begins a stop", () => {
    const start = performance.now();
    const matcher = new StopMatcher([`${"a".repeat(500)}b`, `${"a".repeat(499)}c`]);
    let length = 0;
    for (let i = 0; i < 200_000; i++) length += matcher.push("a").text.length;
    length += matcher.push("a".repeat(1_000_000)).text.length;
    expect(length + matcher.end().length).toBe(1_200_000);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});
