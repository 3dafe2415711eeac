/** Who may import whom. A new arrow is a decision: it is made here, in the open, or not at all. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Every part of the source and the parts it may import besides itself; the longest prefix of a path is its part.
 * `shared/` is closed under imports: it sees npm packages and itself, never a runtime.
 */
const allowed: Record<string, string[]> = {
  "shared/errors.ts": [],
  "shared/bytes.ts": [],
  "shared/backend/dtype.ts": [],
  "shared/model": ["shared/errors.ts", "shared/backend/dtype.ts"],
  "shared/backend/packed.ts": ["shared/backend/dtype.ts", "shared/model"],
  "shared/backend/backend.ts": ["shared/backend/packed.ts", "shared/model"],
  "shared/backend/reference": [
    "shared/backend/backend.ts",
    "shared/backend/packed.ts",
    "shared/backend/dtype.ts",
    "shared/model",
    "shared/errors.ts",
  ],
  "shared/backend/wasm": ["shared/backend/backend.ts", "shared/backend/packed.ts", "shared/model", "shared/errors.ts"],
  "shared/backend/webgpu": [
    "shared/backend/backend.ts",
    "shared/backend/packed.ts",
    "shared/model",
    "shared/errors.ts",
  ],
  "shared/checkpoint": [
    "shared/backend/packed.ts",
    "shared/backend/backend.ts",
    "shared/backend/dtype.ts",
    "shared/model",
    "shared/errors.ts",
  ],
  "shared/tokenizer": ["shared/errors.ts", "shared/checkpoint/strict-json.ts"],
  "shared/sampler": ["shared/backend/backend.ts", "shared/errors.ts"],
  "shared/mixers": ["shared/backend/backend.ts", "shared/model", "shared/errors.ts"],
  "shared/blocks": ["shared/mixers", "shared/backend/backend.ts", "shared/model", "shared/errors.ts"],
  "shared/engine.ts": ["shared/blocks", "shared/backend/backend.ts", "shared/model", "shared/errors.ts"],
  "shared/load-bundle.ts": ["shared/engine.ts", "shared/checkpoint", "shared/backend/backend.ts", "shared/model"],
  "shared/load-model.ts": [
    "shared/load-bundle.ts",
    "shared/errors.ts",
    "shared/engine.ts",
    "shared/checkpoint",
    "shared/backend/backend.ts",
    "shared/model",
  ],
  "shared/output-text.ts": ["shared/tokenizer"],
  "shared/generate.ts": [
    "shared/engine.ts",
    "shared/output-text.ts",
    "shared/sampler",
    "shared/tokenizer",
    "shared/backend/backend.ts",
    "shared/errors.ts",
  ],
  "shared/conversation": [
    "shared/engine.ts",
    "shared/generate.ts",
    "shared/output-text.ts",
    "shared/sampler",
    "shared/tokenizer",
    "shared/backend/backend.ts",
    "shared/model",
    "shared/bytes.ts",
    "shared/errors.ts",
  ],
  "shared/protocol": ["shared/errors.ts"],
  "shared/api": [
    "shared/protocol",
    "shared/conversation",
    "shared/sampler/options.ts",
    "shared/sampler/parse-options.ts",
    "shared/bytes.ts",
    "shared/errors.ts",
  ],
  "shared/load-tokenizer.ts": ["shared/checkpoint", "shared/tokenizer"],
  "shared/load-text-side.ts": ["shared/load-tokenizer.ts", "shared/checkpoint", "shared/tokenizer"],
  "client/web": ["shared"],
  "durable-objects": ["shared"],
  workers: ["shared", "durable-objects"],
  cli: ["shared"],
  bench: ["shared", "cli", "test/e2e/runtime.ts", "test/e2e/overload.ts", "test/e2e/default-model.ts"],
  test: ["shared", "durable-objects", "workers", "client", "cli"],
  "vitest.config.ts": ["test/browser/page/project.ts"],
};

/** Runtimes that `shared/` must not know. */
const runtimeModule = /^(node:|cloudflare:|bun:|https?:)/;

interface Import {
  readonly from: string; // path relative to the root
  readonly to: string; //   likewise for a relative import, else the package as written
}

const sources = sourceFiles(root);
const imports = sources.flatMap(importsOf);

describe("the dependency rule", () => {
  test("every source file belongs to a part", () => {
    expect(sources.filter((file) => !partOf(file))).toStrictEqual([]);
  });

  test("every part exists", () => {
    expect(Object.keys(allowed).filter((part) => !sources.some((file) => partOf(file) === part))).toStrictEqual([]);
  });

  test("no arrow but the allowed ones", () => {
    const forbidden = imports.filter(({ from, to }) => to.includes("/") && isLocal(to) && !isAllowed(from, to));
    expect(forbidden.map(({ from, to }) => `${from} → ${to}`)).toStrictEqual([]);
  });

  test("shared/ imports no runtime", () => {
    const forbidden = imports.filter(({ from, to }) => from.startsWith("shared/") && runtimeModule.test(to));
    expect(forbidden.map(({ from, to }) => `${from} → ${to}`)).toStrictEqual([]);
  });

  test("nothing reaches out of the repository", () => {
    expect(imports.filter(({ to }) => to.startsWith("../")).map(({ from, to }) => `${from} → ${to}`)).toStrictEqual([]);
  });

  test("is seen to fail: a mixer that imports a backend's folder, a backend that imports another", () => {
    expect(isAllowed("shared/mixers/rg-lru.ts", "shared/backend/reference/rg-lru.ts")).toBe(false);
    expect(isAllowed("shared/model/config.ts", "shared/engine.ts")).toBe(false);
    expect(isAllowed("shared/engine.ts", "cli/main.ts")).toBe(false);
    expect(isAllowed("shared/mixers/rg-lru.ts", "shared/backend/backend.ts")).toBe(true);
  });
});

function sourceFiles(folder: string): string[] {
  const skipped = new Set(["node_modules", "dist", "build", "training", "models", ".git", ".wrangler", "assembly"]);
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : sourceFiles(path);
    return /\.(ts|mjs)$/.test(entry.name) && !entry.name.endsWith(".d.ts") ? [relative(root, path)] : [];
  });
}

function importsOf(from: string): Import[] {
  const text = readFileSync(join(root, from), "utf8");
  const specifiers = [
    ...text.matchAll(
      /(?:^|[\s;])(?:import|export)\b[^"'`;]*?\bfrom\s*["']([^"']+)["']|\bimport\s*\(?\s*["']([^"']+)["']/g,
    ),
  ];
  return specifiers.map(([, static_, dynamic]) => {
    const specifier = static_ ?? dynamic;
    const to = specifier.startsWith(".") ? relative(root, resolve(root, dirname(from), specifier)) : specifier;
    return { from, to };
  });
}

const isLocal = (to: string): boolean => sources.includes(to);

function partOf(file: string): string | undefined {
  return Object.keys(allowed)
    .filter((part) => file === part || file.startsWith(`${part}/`))
    .sort((a, b) => b.length - a.length)[0];
}

function isAllowed(from: string, to: string): boolean {
  const part = partOf(from);
  if (!part) return false;
  return [part, ...allowed[part]].some((target) => to === target || to.startsWith(`${target}/`));
}
