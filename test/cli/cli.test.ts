/** The command line as its users and their scripts see it: output, exit codes, sentences. */

import { describe, expect, test } from "vitest";
import { loadGoldenCase } from "../oracle/golden-case.ts";
import { aerie } from "./aerie.ts";

const golden = "test/golden/griffin-a/hf";
const fledgling = "models/fledgling-4m";

describe("aerie", () => {
  test("--help lists the commands, every command has its own, and both are a success", async () => {
    const { code, stdout } = await aerie(["--help"]);
    expect(code).toBe(0);
    for (const command of ["inspect", "logits", "complete", "chat", "convert", "eval", "bench"]) {
      expect(stdout).toContain(`  ${command} `);
      const help = await aerie([command, "--help"]);
      expect(help.code).toBe(0);
      expect(help.stdout).toContain(`Usage: aerie ${command}`);
    }
  });

  test.each([
    ["an unknown command", ["dance"], "aerie: unknown command 'dance'"],
    ["an unknown option", ["inspect", golden, "--loud"], "aerie: unknown option '--loud'"],
    ["a missing argument", ["inspect"], "aerie: missing required argument 'model'"],
    ["tokens that are none", ["logits", golden, "--tokens", "2,five"], 'found "five"'],
    [
      "a token outside the vocabulary",
      ["logits", golden, "--tokens", "2,128"],
      "expected ids from 0 to 127, found 128",
    ],
    [
      "more steps than tokens",
      ["logits", golden, "--tokens", "2", "--steps", "2"],
      "at most the 1 tokens given, found 2",
    ],
    ["a chunk of nothing", ["logits", golden, "--tokens", "2", "--chunk", "0"], "expected a whole number from 1"],
    ["a temperature below 0", ["complete", fledgling, "Hi", "--temperature", "-1"], "temperature"],
  ])("called wrongly: %s is exit code 2 and a sentence", async (_what, args, sentence) => {
    const { code, stdout, stderr } = await aerie(args);
    expect(stderr).toContain(sentence);
    expect(stderr).not.toContain("    at "); // no stack
    expect({ code, stdout }).toStrictEqual({ code: 2, stdout: "" });
  });

  test.each([
    ["a path that is not there", ["inspect", "no/such/model"], "no/such/model: there is no such file or folder"],
    ["a folder that is no model", ["inspect", "docs"], "config.json is missing from the model's folder"],
    ["text without a tokenizer", ["complete", golden, "Hi"], "has no tokenizer.json"],
  ])("failed: %s is exit code 1 and a sentence", async (_what, args, sentence) => {
    const { code, stdout, stderr } = await aerie(args);
    expect(stderr).toContain(sentence);
    expect(stderr).not.toContain("    at ");
    expect({ code, stdout }).toStrictEqual({ code: 1, stdout: "" });
  });
});

describe("aerie logits", () => {
  const { prompt, decode, logits64 } = loadGoldenCase("griffin-a");
  const tokens = [...prompt, ...decode].join();

  test("prints DeepMind's logits for every position; chunks and steps change not one digit", async () => {
    const oneShot = await aerie(["logits", golden, "--tokens", tokens]);
    expect(oneShot.code).toBe(0);
    const { logits } = JSON.parse(oneShot.stdout) as { logits: number[][] };
    expect(logits).toHaveLength(64);
    const differences = logits.flatMap((row, t) => row.map((logit, v) => Math.abs(logit - logits64[t][v])));
    expect(Math.max(...differences)).toBeLessThanOrEqual(5e-5);

    const split = await aerie(["logits", golden, "--tokens", tokens, "--chunk", "5", "--steps", "9", "--json"]);
    expect(split.stdout).toBe(oneShot.stdout);
    const bf16 = await aerie(["logits", `${golden}/model-bf16.safetensors`, "--tokens", tokens]);
    expect(bf16.stdout).toBe(oneShot.stdout);
  });

  test("--window hf sees one key less, from the position at which the window is full", async () => {
    const [deepmind, hf] = await Promise.all(
      ["deepmind", "hf"].map(async (window) => {
        const { stdout } = await aerie(["logits", golden, "--tokens", tokens, "--window", window]);
        return (JSON.parse(stdout) as { logits: number[][] }).logits;
      }),
    );
    expect(hf.slice(0, 16)).toStrictEqual(deepmind.slice(0, 16));
    expect(hf[16]).not.toStrictEqual(deepmind[16]);
  });
});

describe("aerie inspect", () => {
  test("shows the model, and its tensors on request", async () => {
    const { code, stdout } = await aerie(["inspect", fledgling, "--tensors"]);
    expect(code).toBe(0);
    expect(stdout).toContain("6: 4 recurrent, 2 local attention");
    expect(stdout).toContain("model.layers.2.temporal_block.q_proj.weight  256×256  BF16");
  });

  test("--json is one object whose tensors add up to its parameters", async () => {
    const { stdout } = await aerie(["inspect", fledgling, "--json"]);
    const report = JSON.parse(stdout) as { parameters: number; weightBytes: number; tensors: { shape: number[] }[] };
    const sum = report.tensors.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0);
    expect(report.parameters).toBe(sum);
    expect(report.weightBytes).toBe(2 * sum);
  });
});

describe("aerie complete", () => {
  test("streams the text after the prompt; --json says the same, and the same seed says it again", async () => {
    const args = ["complete", fledgling, "Once upon a time", "--max-tokens", "12", "--seed", "7"];
    const shown = await aerie(args);
    expect(shown.stderr).toBe("");
    const json = await aerie([...args, "--json"]);
    const reply = JSON.parse(json.stdout) as { text: string; ids: number[]; finishReason: string; seed: string };
    expect(reply).toMatchObject({
      finishReason: "length",
      stopString: null,
      seed: "7",
      usage: { completionTokens: 12 },
    });
    expect(reply.ids).toHaveLength(12);
    expect(shown.stdout).toBe(`Once upon a time${reply.text}\n`);
    expect((await aerie([...args.slice(0, -1), "8", "--json"])).stdout).not.toBe(json.stdout);
  });

  test("reads standard input where no text is given, and never shows a stop sequence", async () => {
    const { stdout } = await aerie(
      ["complete", fledgling, "--temperature", "0", "--stop", ".", "--json"],
      "Once upon a time",
    );
    const reply = JSON.parse(stdout) as { text: string };
    expect(reply).toMatchObject({ finishReason: "stop", stopString: "." });
    expect(reply.text).not.toContain(".");
    expect(reply.text.length).toBeGreaterThan(0);
  });
});

describe("aerie chat", () => {
  test("each line is a message; later turns cost their own tokens only", async () => {
    const { code, stdout, stderr } = await aerie(
      ["chat", fledgling, "--temperature", "0", "--max-tokens", "60", "--json"],
      "My name is Anna.\nWhat is my name?\n",
    );
    expect({ code, stderr }).toStrictEqual({ code: 0, stderr: "" });
    const [first, second] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Reply);
    expect(second.text).toContain("Anna");
    expect(first.usage.cachedTokens).toBe(0);
    // All but the last token of the log had been consumed when the second message came.
    expect(second.usage.cachedTokens).toBe(first.usage.promptTokens + first.usage.completionTokens - 1);
  });

  test("/reset forgets", async () => {
    const hello = "Hello!\n";
    const { stdout } = await aerie(
      ["chat", fledgling, "--temperature", "0", "--json"],
      `${hello}/reset\n${hello}/exit\nmore\n`,
    );
    const replies = stdout.trim().split("\n");
    expect(replies).toHaveLength(2);
    expect(replies[1]).toBe(replies[0]);
  });
});

describe("aerie eval", () => {
  const args = ["eval", fledgling, "--against", fledgling, "--text", "test/data/fledgling-eval.txt", "--json"];

  // The bounds are what the formats are for; measured: rg8 9.6e-4, rg4 3.1e-2 nats.
  test.each([
    ["rg8", 2e-3, 0.98],
    ["rg4", 6e-2, 0.92],
  ])("%s keeps the trained model's predictions", async (weights, mostKl, leastAgreement) => {
    const { code, stdout } = await aerie([...args, "--weights", weights]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { tokens: number; meanKl: number; top1Agreement: number; perplexity: number };
    expect(report.tokens).toBeGreaterThan(2_500);
    expect(report.meanKl).toBeGreaterThan(0);
    expect(report.meanKl).toBeLessThanOrEqual(mostKl);
    expect(report.top1Agreement).toBeGreaterThanOrEqual(leastAgreement);
  });

  test("a model equals itself, and another vocabulary is refused", async () => {
    const { stdout } = await aerie([...args, "--weights", "f32"]);
    expect(JSON.parse(stdout)).toMatchObject({ meanKl: 0, top1Agreement: 1 });
    const other = await aerie(["eval", fledgling, "--against", golden, "--text", "README.md"]);
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain("the same vocabulary of 2048 tokens, found 128");
  });
});

describe("aerie bench", () => {
  test("--json has the promised shape, for a model and its read loop", async () => {
    const { code, stdout } = await aerie([
      "bench",
      fledgling,
      "--prompt",
      "32",
      "--generate",
      "8",
      "--depth",
      "0,100",
      "--repeats",
      "2",
      "--json",
    ]);
    expect(code).toBe(0);
    const { machine, model, tests } = JSON.parse(stdout) as BenchReport;
    expect(machine.node).toBe(process.versions.node);
    expect(model.backend).toMatch(/^wasm/);
    expect(tests.map(({ test, depth }) => `${test} @ ${depth}`)).toStrictEqual([
      "pp32 @ 0",
      "tg8 @ 0",
      "pp32 @ 100",
      "tg8 @ 100",
      "read loop @ 0",
    ]);
    for (const { test, tokensPerSecond, weightGBps, readLoopFraction, otherShare } of tests) {
      expect(weightGBps).toBeGreaterThan(0);
      expect(readLoopFraction).toBeGreaterThan(0);
      if (test.startsWith("tg")) expect(otherShare).toBeLessThan(1);
      else expect(otherShare).toBeNull();
      if (test !== "read loop") expect(tokensPerSecond.best).toBeGreaterThanOrEqual(tokensPerSecond.median);
    }
  });

  test("needs either a model or a shape", async () => {
    expect(await aerie(["bench"])).toMatchObject({ code: 2, stdout: "" });
    expect(await aerie(["bench", fledgling, "--shape", "115m"])).toMatchObject({ code: 2, stdout: "" });
  });
});

interface BenchReport {
  readonly machine: { readonly node: string };
  readonly model: { readonly backend: string };
  readonly tests: {
    readonly test: string;
    readonly depth: number;
    readonly tokensPerSecond: { readonly best: number; readonly median: number; readonly sd: number };
    readonly weightGBps: number;
    readonly readLoopFraction: number;
    readonly otherShare: number | null;
  }[];
}

interface Reply {
  readonly text: string;
  readonly usage: { readonly promptTokens: number; readonly cachedTokens: number; readonly completionTokens: number };
}
