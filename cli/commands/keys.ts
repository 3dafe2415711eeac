/** `aerie keys`: makes, lists and revokes the API keys of a server, local or deployed. */

import { readFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { Command } from "commander";
import { KEY_CACHE_SECONDS } from "../../shared/api/authenticate.ts";
import { DEFAULT_TENANT, isTenantName } from "../../shared/api/keys.ts";
import { AerieError, OptionError } from "../../shared/errors.ts";
import { type AdminKey, addKey, isLocal, listKeys, parseServerUrl, printable, revokeKey } from "../admin-client.ts";

interface KeysOptions {
  readonly url: string;
  readonly tenant: string;
  readonly json?: boolean;
}

const LOCAL_SERVER = "http://127.0.0.1:8787";
const VARIABLES_FILE = ".dev.vars"; // where wrangler keeps a local server's secrets

export const keysCommand = new Command("keys")
  .description("Make, list and revoke the API keys of a server.")
  .addHelpText(
    "after",
    `\nThe server's secret comes from the environment, AERIE_SECRET; for a server on this machine also from ${VARIABLES_FILE} in this folder.`,
  );

withServer(keysCommand.command("add"))
  .description("Make a key and print it: the only time that it can be seen.")
  .argument("[name]", "what the key is for, as `list` will show it", "unnamed")
  .action(add);

withServer(keysCommand.command("list"))
  .description("List a tenant's keys: ids and names, never the keys.")
  .action(list);

withServer(keysCommand.command("revoke"))
  .description("Revoke a key for good.")
  .argument("<id>", "the key's id, as `list` shows it")
  .action(revoke);

function withServer(command: Command): Command {
  return command
    .option("--url <url>", "the server", LOCAL_SERVER)
    .option(
      "--tenant <tenant>",
      "whose keys: conversations are shared within a tenant and never across",
      DEFAULT_TENANT,
    )
    .option("--json", "print one JSON object");
}

async function add(name: string, options: KeysOptions): Promise<void> {
  const { url, tenant } = options;
  const created = await addKey(url, await secretFor(options), { name, tenant });
  if (options.json) return printJson(created);
  // The key alone on standard output, so that KEY=$(aerie keys add) holds it.
  process.stdout.write(`${created.key}\n`);
  process.stderr.write(
    `Key ${created.id} (${printable(created.name)}) of tenant ${tenant}. Nothing stores it: keep it now, or revoke it and make another.\n`,
  );
}

async function list(options: KeysOptions): Promise<void> {
  const { url, tenant } = options;
  const keys = await listKeys(url, await secretFor(options), tenant);
  if (options.json) return printJson({ tenant, keys });
  if (keys.length === 0) process.stderr.write(`Tenant ${tenant} has no keys. \`aerie keys add\` makes one.\n`);
  for (const key of keys) process.stdout.write(`${describe(key)}\n`);
}

async function revoke(id: string, options: KeysOptions): Promise<void> {
  const { url, tenant } = options;
  const revoked = await revokeKey(url, await secretFor(options), id, tenant);
  if (options.json) return printJson(revoked);
  process.stdout.write(
    `Revoked ${revoked.id} (${printable(revoked.name)}). Every request with it is refused within ${KEY_CACHE_SECONDS} seconds.\n`,
  );
}

function describe({ id, name, created_at, revoked_at }: AdminKey): string {
  const revoked = revoked_at === null ? "" : `  revoked ${toDay(revoked_at)}`;
  return `${printable(id)}  made ${toDay(created_at)}${revoked}  ${printable(name)}`;
}

function toDay(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** The secret of the server that the options name. Checks the options first, so that nothing is sent for a wrong call. */
async function secretFor({ url, tenant }: KeysOptions): Promise<string> {
  const server = parseServerUrl(url);
  if (!isTenantName(tenant))
    throw new OptionError("tenant", `--tenant: expected 1 to 32 lower-case letters and digits, found "${tenant}"`);
  const secret = process.env.AERIE_SECRET || (isLocal(server) ? await localSecret() : undefined);
  if (secret && /^\s*[0-9a-f]{64}\s*$/i.test(secret)) return secret;
  const places = isLocal(server) ? `in the environment or in ${VARIABLES_FILE}` : "in the environment";
  throw new AerieError(
    "keys.secret",
    `AERIE_SECRET ${places}: expected the server's secret, 64 hexadecimal digits, found ${secret ? `${secret.length} other characters` : "none"}. ` +
      (isLocal(server)
        ? `\`npm run dev\` writes one to ${VARIABLES_FILE}.`
        : "A deployed server's secret can't be read back: if it is lost, set a new one (`openssl rand -hex 32`, `npx wrangler secret put AERIE_SECRET`) and make new keys."),
  );
}

async function localSecret(): Promise<string | undefined> {
  try {
    return parseEnv(await readFile(VARIABLES_FILE, "utf8")).AERIE_SECRET;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
