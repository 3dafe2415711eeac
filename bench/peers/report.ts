/** What `npm run bench:peers` prints: Markdown tables. */

import type { Rate } from "../../cli/bench/measure.ts";
import type { ArmResult, MatrixResult } from "./matrices.ts";
import type { ModelResult } from "./models.ts";

export interface Report {
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly node: string;
    readonly v8: string;
    /** Processes that wanted a core in the last minute, before and after. */
    readonly load: readonly [before: number, after: number];
  };
  readonly peers: {
    readonly onnxRuntimeWeb: string | null;
    /** The library that it chose for this processor, and what that was compiled with. */
    readonly llamaCpp: { readonly version: string; readonly library: string; readonly features: string } | null;
  };
  readonly rounds: number;
  readonly matrices: readonly MatrixResult[];
  readonly models: readonly ModelResult[];
}

export function markdown(report: Report): string {
  const { matrices, models } = report;
  const parts = [heading(report)];
  for (const M of [1, 64]) {
    const results = matrices.filter((result) => result.M === M);
    if (results.length > 0) parts.push(...matrixTables(M, results));
  }
  if (models.length > 0) parts.push(modelTable(models));
  return `${parts.join("\n\n")}\n`;
}

function heading({ machine, peers, rounds }: Report): string {
  const { cpu, cores, memoryBytes, node, v8, load } = machine;
  const { onnxRuntimeWeb, llamaCpp } = peers;
  const against = [
    ...(onnxRuntimeWeb ? [`onnxruntime-web ${onnxRuntimeWeb}`] : []),
    ...(llamaCpp ? [`llama.cpp ${llamaCpp.version} (${llamaCpp.library})`] : []),
  ];
  return [
    `${cpu}, ${cores} cores, ${Math.round(memoryBytes / 1e9)} GB; Node ${node} (V8 ${v8}) against ${against.join(" and ")}.`,
    `One thread each, ${rounds} interleaved rounds, load ${load.map((l) => l.toFixed(1)).join(" → ")}. Every cell: best (median).`,
  ].join("\n");
}

function matrixTables(M: number, results: readonly MatrixResult[]): string[] {
  const names = results[0].arms.filter((arm) => arm.gmacPerSecond).map((arm) => arm.name);
  const ours = names.filter((name) => !name.startsWith("ORT"));
  const theirs = names.filter((name) => name.startsWith("ORT"));
  const shape = ({ columns, rows }: MatrixResult) => `${columns}→${rows}`;
  const use = M === 1 ? "weights streamed from memory, as when decoding" : "as when prefilling";

  const speeds = table(
    [`**M = ${M}**, GMAC/s`, ...names],
    results.map((result) => [shape(result), ...names.map((name) => bestAndMedian(gmacs(result, name)))]),
  );
  const ratios = table(
    ["ours ÷ theirs", ...ours.flatMap((our) => theirs.map((their) => `${our} ÷ ${their}`))],
    results.map((result) => [
      shape(result),
      ...ours.flatMap((our) => theirs.map((their) => ratio(gmacs(result, our), gmacs(result, their)))),
    ]),
  );
  const tables = [`### Matrix products, M = ${M}: ${use}`, speeds, ratios];
  if (M === 1) {
    const arms = results[0].arms.map((arm) => arm.name);
    tables.splice(
      2,
      0,
      table(
        ["GB/s of weights", ...arms],
        results.map((result) => [shape(result), ...arms.map((name) => bestAndMedian(find(result, name).gbPerSecond))]),
      ),
    );
  }
  return tables;
}

function modelTable(models: readonly ModelResult[]): string {
  const [{ parameters }] = models;
  const millions = (count: number) => `${(count / 1e6).toFixed(1)} M`;
  const title = `### Whole model: ours (Griffin, ${millions(parameters.ours)}) and llama.cpp (llama, ${millions(parameters.theirs)})`;
  const rows = models.map(({ test, ours, theirs, weightBytes, llamaBuffers, tokensPerSecond }) => [
    test,
    `${ours}, ${(weightBytes.ours / 1e6).toFixed(0)} MB`,
    bestAndMedian(tokensPerSecond.ours),
    `${theirs}, ${(weightBytes.theirs / 1e6).toFixed(0)} MB${isRepacked(llamaBuffers) ? ", repacked" : ""}`,
    bestAndMedian(tokensPerSecond.theirs),
    ratio(tokensPerSecond.ours, tokensPerSecond.theirs),
  ]);
  return `${title}\n\n${table(["test", "ours", "tokens/s", "llama.cpp", "tokens/s", "ours ÷ llama.cpp"], rows)}`;
}

const isRepacked = (buffers: readonly string[]): boolean => buffers.some((buffer) => buffer.startsWith("CPU_REPACK"));

function find(result: MatrixResult, name: string): ArmResult {
  const arm = result.arms.find((arm) => arm.name === name);
  if (!arm) throw new TypeError(`no arm ${name}`);
  return arm;
}

function gmacs(result: MatrixResult, name: string): Rate {
  const { gmacPerSecond } = find(result, name);
  if (!gmacPerSecond) throw new TypeError(`${name} multiplies nothing`);
  return gmacPerSecond;
}

function bestAndMedian({ best, median }: Rate): string {
  return `${figure(best)} (${figure(median)})`;
}

/** Best by best and median by median. */
const ratio = (ours: Rate, theirs: Rate): string =>
  `${figure(ours.best / theirs.best)} (${figure(ours.median / theirs.median)})`;

/** Three digits, as many as such a bench can mean. */
const figure = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map((_, at) => (at === 0 ? "---" : "--:"))), ...rows.map(line)].join("\n");
}
