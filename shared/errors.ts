/** The errors Aerie throws on purpose: a code for programs, a sentence for people that names what, expected and found. */

export class AerieError extends Error {
  /** Stable, machine-readable: `checkpoint.shape`, `config.field`, … */
  readonly code: string;

  constructor(code: string, sentence: string, options?: { cause?: unknown }) {
    super(sentence, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A model's configuration is missing something, or asks for what the engine can't do. */
export class ConfigError extends AerieError {
  constructor(sentence: string, options?: { cause?: unknown }) {
    super("config", sentence, options);
  }
}

/** A caller's option is outside its range. `param` is the option's name as the caller wrote it. */
export class OptionError extends AerieError {
  readonly param: string;

  constructor(param: string, sentence: string) {
    super("option", sentence);
    this.param = param;
  }
}

/** A tokenizer or chat template can't be read, or can't do what is asked of it. */
export class TokenizerError extends AerieError {
  constructor(sentence: string, options?: { cause?: unknown }) {
    super("tokenizer", sentence, options);
  }
}

/** What is wrong with a checkpoint, as a code; the sentence says it for people. */
export type CheckpointProblem =
  | "unreadable" // a file is missing or ends too early
  | "header" //     the safetensors header is not what the format says
  | "json" //       a JSON file is malformed or has a key twice
  | "dtype"
  | "shape"
  | "bytes" //      offsets and sizes of a tensor don't fit its shape, its neighbours or the file
  | "missing" //    the config asks for a tensor that no file holds
  | "unexpected" // a file holds a tensor that the config does not ask for
  | "value"; //     a weight is not a finite number

/** A model file contradicts itself, its config or its format. The sentence names the tensor, what was expected and what was found. */
export class CheckpointError extends AerieError {
  readonly tensor: string | undefined;

  constructor(problem: CheckpointProblem, sentence: string, options?: { tensor?: string; cause?: unknown }) {
    super(`checkpoint.${problem}`, sentence, options);
    this.tensor = options?.tensor;
  }
}
