/** Runs a Jinja template that nobody has vetted: same language, but steps, depth and sizes are limited. */

import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { TokenizerError } from "../errors.ts";

/** The largest templates in use have some 20,000 characters. */
const MAX_SOURCE_LENGTH = 64 * 1024;
/** The library's reader takes time quadratic in the longest run of white space. */
const MAX_WHITE_SPACE_RUN = 1024;
/** Units of work: an evaluated node, or 64 characters or items that pass through one. Gemma's template needs some 50 a message. */
const MAX_STEPS = 1_000_000;
const STEPS_PER_MESSAGE = 5_000;
const UNITS_PER_STEP = 64;
const CHARACTERS_PER_NODE = 16;
const CONSTANT_TIME_FILTERS: ReadonlySet<unknown> = new Set(["length", "first", "last"]);
const MAX_DEPTH = 400;
/** Characters of any value made on the way, in all its parts, beyond four times what the messages hold. */
const MAX_SIZE = 1024 * 1024;
const SIZE_PER_MESSAGE = 256;
const MAX_RANGE = 100_000;
/** No template needs larger numbers, but `indent` repeats spaces that often. */
const MAX_INTEGER = 1_000_000;

/** What a template calls to say that it can't render a conversation. */
export class TemplateRefusal extends TokenizerError {}

export class BoundedTemplate {
  readonly #program: unknown;
  readonly #sourceLength: number;

  /** Throws a `TokenizerError` for a template that can't be read. */
  constructor(source: string) {
    if (source.length > MAX_SOURCE_LENGTH) {
      throw new TokenizerError(
        `the chat template has ${source.length} characters; at most ${MAX_SOURCE_LENGTH} are supported`,
      );
    }
    if (longestWhiteSpace(source) > MAX_WHITE_SPACE_RUN) {
      throw new TokenizerError(
        `the chat template has more than ${MAX_WHITE_SPACE_RUN} white space characters in a row`,
      );
    }
    this.#sourceLength = source.length;
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      throw new TokenizerError(`the chat template can't be read: ${reasonOf(cause)}`, { cause });
    }
  }

  /** Throws a `TemplateRefusal` if the template says so, another `TokenizerError` if it fails or asks for too much. */
  render(variables: Record<string, unknown>, messageCount: number, contentLength: number): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
    const interpreter = new BoundedInterpreter(environment, {
      steps: MAX_STEPS + STEPS_PER_MESSAGE * messageCount + contentLength,
      size: MAX_SIZE + SIZE_PER_MESSAGE * messageCount + 4 * contentLength,
      macroSteps: this.#sourceLength / CHARACTERS_PER_NODE,
    });
    try {
      return interpreter.run(this.#program).value as string;
    } catch (cause) {
      if (cause instanceof TokenizerError) throw cause;
      throw new TokenizerError(`the chat template failed: ${reasonOf(cause)}`, { cause });
    }
  }
}

// The library's own declarations can't be found under Node's module rules, so what is used of it is declared here.
interface JinjaNode {
  readonly type: string;
  readonly iterable?: JinjaNode; // of a loop
  readonly lhs?: JinjaNode; // of a loop's iterable with a condition
  readonly operand?: JinjaNode; // of a filter
  readonly filter?: { readonly value?: unknown };
}
interface JinjaValue {
  readonly type: string;
  readonly value: unknown;
}
const JinjaInterpreter = Interpreter as new (
  environment: unknown,
) => {
  run(program: unknown): JinjaValue;
  evaluate(node: JinjaNode | undefined, environment: unknown): JinjaValue | undefined;
};

interface Limits {
  readonly steps: number;
  readonly size: number;
  readonly macroSteps: number;
}

/**
 * Every node of a template goes through `evaluate`, so that is where work is counted and results are measured. What is
 * left is what one built-in can make in one step (`replace`, `join`): a text that is too long, refused once it is there.
 */
class BoundedInterpreter extends JinjaInterpreter {
  readonly #limits: Limits;
  #steps = 0;
  #depth = 0;
  /** Nodes whose lists are gone through item by item, in one go: by a filter, or by a loop before its first round. */
  readonly #walked = new WeakSet<JinjaNode>();
  /** Sizes of lists and objects, which never change once made. */
  readonly #sizes = new WeakMap<object, number>();

  constructor(environment: unknown, limits: Limits) {
    super(environment);
    this.#limits = limits;
  }

  override evaluate(node: JinjaNode | undefined, environment: unknown): JinjaValue | undefined {
    if (node !== undefined) this.#prepare(node);
    this.#count(1);
    if (++this.#depth > MAX_DEPTH) throw new TokenizerError("the chat template nests too deeply");
    try {
      const result = super.evaluate(node, environment);
      if (result !== undefined) this.#measure(result, node !== undefined && this.#walked.has(node));
      return result; // nothing where the library takes the first item of an empty list
    } finally {
      this.#depth--; // also when `break` or `continue` passes through
    }
  }

  /** Notes what the library will do with the node's parts beyond evaluating them. */
  #prepare(node: JinjaNode): void {
    switch (node.type) {
      case "For":
        if (node.iterable !== undefined) {
          this.#walked.add(node.iterable.type === "SelectExpression" ? node.iterable.lhs! : node.iterable);
        }
        break;
      case "FilterExpression":
        if (node.operand !== undefined && !CONSTANT_TIME_FILTERS.has(node.filter?.value))
          this.#walked.add(node.operand);
        break;
      case "Macro":
      case "CallStatement":
        this.#count(this.#limits.macroSteps); // its body is searched for two names, every time
        break;
    }
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#limits.steps) throw new TokenizerError("the chat template takes too many steps");
  }

  #measure(result: JinjaValue, isWalked: boolean): void {
    const { value } = result;
    if (typeof value === "number" && Math.abs(value) > MAX_INTEGER) {
      throw new TokenizerError(`the chat template uses a number beyond ${MAX_INTEGER}`);
    }
    if (this.#sizeOf(result) > this.#limits.size) {
      throw new TokenizerError(`the chat template makes something of more than ${this.#limits.size} characters`);
    }
    if (typeof value === "string") this.#count(value.length / UNITS_PER_STEP);
    else if (Array.isArray(value)) this.#count(isWalked ? value.length : value.length / UNITS_PER_STEP);
  }

  /** What it would take to write a value out. A list of twice the same list counts it twice: that is how small ones grow. */
  #sizeOf({ type, value }: JinjaValue): number {
    if (typeof value === "string") return value.length;
    if (typeof value !== "object" || value === null) return 1;
    const isNamespace = type === "NamespaceValue"; // the one thing that can be changed after it was measured
    const known = isNamespace ? undefined : this.#sizes.get(value);
    if (known !== undefined) return known;
    let size = 1;
    for (const [key, part] of value instanceof Map ? value : (value as JinjaValue[]).entries()) {
      if (part.type === "NamespaceValue")
        throw new TokenizerError("the chat template puts a namespace into another value");
      size += 1 + (typeof key === "string" ? key.length : 0) + this.#sizeOf(part);
    }
    if (!isNamespace) this.#sizes.set(value, size);
    return size;
  }
}

/**
 * What templates find besides the messages. No clock (`strftime_now`): the same conversation must render the same text
 * for ever, or a replay would not lead to the same state. Templates that know it is optional leave the date out.
 */
const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown) => {
    throw new TemplateRefusal(String(message));
  },
  range: boundedRange,
};

/** Python's `range`. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.ceil((stop - start) / step);
  if (!Number.isFinite(count) || count > MAX_RANGE) {
    throw new TokenizerError(
      `the chat template asks for a range of ${count} numbers; at most ${MAX_RANGE} are supported`,
    );
  }
  return Array.from({ length: Math.max(count, 0) }, (_, index) => start + index * step);
}

function longestWhiteSpace(source: string): number {
  let longest = 0;
  let run = 0;
  for (const char of source) {
    run = char.trim() === "" ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
