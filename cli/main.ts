/** The `aerie` command: its subcommands, and how errors become a sentence and an exit code. */

import { Command, CommanderError } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { AerieError, OptionError } from "../shared/errors.ts";
import { benchCommand } from "./commands/bench.ts";
import { chatCommand } from "./commands/chat.ts";
import { completeCommand } from "./commands/complete.ts";
import { convertCommand } from "./commands/convert.ts";
import { evalCommand } from "./commands/eval.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { keysCommand } from "./commands/keys.ts";
import { logitsCommand } from "./commands/logits.ts";

const OK = 0;
const FAILED = 1;
const USAGE = 2;

const program = new Command("aerie")
  .description("Fixed-state language models: Griffin, Hawk, RecurrentGemma.")
  .version(packageJson.version)
  .addHelpText("after", "\nExit codes: 0 done, 1 failed, 2 called wrongly.\n");
for (const command of [
  inspectCommand,
  logitsCommand,
  completeCommand,
  chatCommand,
  convertCommand,
  evalCommand,
  benchCommand,
  keysCommand,
])
  program.addCommand(command);
setUp(program, "");

/** The same manners for every command and those below it. */
function setUp(command: Command, path: string): void {
  command.exitOverride();
  command.configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "aerie:")) });
  command.showHelpAfterError(`(aerie ${path}--help shows how it is called)`);
  for (const below of command.commands) setUp(below, `${path}${below.name()} `);
}

// A reader that closes early, such as `| head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(OK);
  throw error;
});

process.exitCode = await run(process.argv);

async function run(argv: string[]): Promise<number> {
  try {
    await program.parseAsync(argv);
    return OK;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? OK : USAGE; // it has printed its own sentence
    process.stderr.write(`aerie: ${sentence(error)}\n`);
    return error instanceof OptionError ? USAGE : FAILED;
  }
}

/** One sentence for what went wrong on purpose; a stack for what did not. */
function sentence(error: unknown): string {
  if (error instanceof AerieError) return error.message;
  if (error instanceof Error && "code" in error && "syscall" in error) return error.message; // the file system's own
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
