/** `aerie keys` as its users see it, against a server that has the real routes of /admin. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addKey, listKeys, parseServerUrl, revokeKey } from "../../cli/admin-client.ts";
import { createAdmin } from "../../shared/api/admin.ts";
import { errorResponse, toApiError } from "../../shared/api/api-error.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import { nodeTenants, testSecret } from "../api/node-tenants.ts";
import type { Finished } from "./aerie.ts";

const bin = fileURLToPath(new URL("../../cli/bin.mjs", import.meta.url));
const secrets = createSecrets(testSecret);
const tenants = nodeTenants();
const app = new Hono().route("/admin", createAdmin({ secrets, tenant: tenants.tenant }));
app.onError((error) => errorResponse(toApiError(error)));

/** What came over the wire, headers and all. */
const heard: string[] = [];
let server: Server;
let url: string;
let empty: string; //   a folder without .dev.vars
let project: string; // one with it

beforeAll(async () => {
  [server, url] = await listen(async (request, response) => {
    heard.push(JSON.stringify([request.method, request.url, request.headers]));
    const body = request.method === "POST" ? await readAll(request) : null;
    const answer = await app.request(request.url!, {
      method: request.method!,
      headers: { Authorization: request.headers.authorization ?? "" },
      body,
    });
    response.writeHead(answer.status, { "Content-Type": "application/json" }).end(await answer.text());
  });
  empty = mkdtempSync(join(tmpdir(), "aerie-keys-"));
  project = mkdtempSync(join(tmpdir(), "aerie-keys-"));
  writeFileSync(join(project, ".dev.vars"), `# made by npm run dev\nAERIE_SECRET="${testSecret}"\n`);
});

afterAll(() => {
  server.close();
  for (const folder of [empty, project]) rmSync(folder, { recursive: true });
});

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<[Server, string]> {
  const listening = createServer(answer);
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return [listening, `http://127.0.0.1:${(listening.address() as AddressInfo).port}`];
}

function keys(args: string[], { secret = testSecret, cwd = empty } = {}): Promise<Finished> {
  const { AERIE_SECRET: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, "keys", ...args], { cwd, env: { ...env, AERIE_SECRET: secret } });
    child.on("error", reject);
    const output = Promise.all([readAll(child.stdout), readAll(child.stderr)]);
    child.on("close", async (code) => {
      const [stdout, stderr] = await output;
      resolve({ code, stdout, stderr });
    });
  });
}

describe("aerie keys", () => {
  test("add prints the key alone, list shows it without its secret, revoke ends it", async () => {
    const added = await keys(["add", "my laptop", "--tenant", "acme", "--url", url]);
    expect(added).toMatchObject({ code: 0, stdout: expect.stringMatching(/^sk-acme-[0-9a-f]{64}\n$/) });
    const id = added.stdout.slice(8, 24);
    expect(added.stderr).toContain(`Key ${id} (my laptop) of tenant acme. Nothing stores it`);

    const listed = await keys(["list", "--tenant", "acme", "--url", url]);
    expect(listed).toStrictEqual({ code: 0, stdout: `${id}  made 2027-01-15  my laptop\n`, stderr: "" });
    const revoked = await keys(["revoke", id, "--tenant", "acme", "--url", url]);
    expect(revoked).toStrictEqual({
      code: 0,
      stdout: `Revoked ${id} (my laptop). Every request with it is refused within 30 seconds.\n`,
      stderr: "",
    });
    const after = await keys(["list", "--tenant", "acme", "--url", url, "--json"]);
    expect(JSON.parse(after.stdout)).toStrictEqual({
      tenant: "acme",
      keys: [{ id, name: "my laptop", tenant: "acme", created_at: 1_800_000_000, revoked_at: 1_800_000_000 }],
    });
  });

  test("--json prints one object; the default tenant is default", async () => {
    const { stdout, stderr } = await keys(["add", "--json", "--url", url]);
    expect(stderr).toBe("");
    const created = JSON.parse(stdout);
    expect(created).toMatchObject({ tenant: "default", name: "unnamed", revoked_at: null });
    const { stdout: revoked } = await keys(["revoke", created.id, "--json", "--url", url]);
    expect(JSON.parse(revoked)).toMatchObject({ id: created.id, revoked_at: 1_800_000_000 });
  });

  test("an empty list says how to make a key", async () => {
    expect(await keys(["list", "--tenant", "nobody", "--url", url])).toMatchObject({
      code: 0,
      stdout: "",
      stderr: expect.stringContaining("aerie keys add"),
    });
  });

  test("the secret never travels, and no key in an address", async () => {
    heard.length = 0;
    const { stdout } = await keys(["add", "--url", url]);
    await keys(["list", "--url", url]);
    expect(heard).toHaveLength(2);
    for (const request of heard) {
      expect(request).not.toContain(testSecret);
      expect(request).toContain("Bearer admin-");
      expect(request).not.toContain(stdout.trim());
    }
  });

  test("for a local server the secret may lie in .dev.vars; the environment comes first", async () => {
    expect(await keys(["list", "--url", url], { secret: "", cwd: project })).toMatchObject({ code: 0 });
    expect(await keys(["list", "--url", url], { secret: "f".repeat(64), cwd: project })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("not derived from this server's AERIE_SECRET"),
    });
    // A server elsewhere has another secret: what lies here is not even tried.
    expect(await keys(["list", "--url", "https://aerie.invalid"], { secret: "", cwd: project })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("AERIE_SECRET in the environment: expected the server's secret"),
    });
  });

  test.each([
    ["no secret", ["list"], "", 1, "found none. `npm run dev` writes one to .dev.vars."],
    ["a secret that is none", ["list"], "hunter2", 1, "64 hexadecimal digits, found 7 other characters"],
    [
      "a server that is not there",
      ["list", "--url", "http://127.0.0.1:9"],
      testSecret,
      1,
      "Start the local server with `npm run dev`",
    ],
    ["a token in the clear", ["list", "--url", "http://aerie.example"], testSecret, 2, "expected https://"],
    [
      "no address",
      ["list", "--url", "aerie.example"],
      testSecret,
      2,
      "expected an address such as http://127.0.0.1:8787",
    ],
    ["another scheme", ["list", "--url", "file:///etc"], testSecret, 2, "expected an address"],
    ["a tenant in capitals", ["add", "--tenant", "Acme"], testSecret, 2, "1 to 32 lower-case letters and digits"],
    ["no id", ["revoke"], testSecret, 2, "missing required argument 'id'"],
    ["an unknown option", ["add", "--loud"], testSecret, 2, "(aerie keys add --help shows how it is called)"],
  ])("%s is a sentence and an exit code", async (_what, args, secret, code, sentence) => {
    const finished = await keys(args, { secret });
    expect(finished.stderr).toContain(sentence);
    expect(finished.stderr).toMatch(/^aerie: /);
    expect(finished.stderr).not.toContain("    at ");
    if (secret) expect(finished.stderr).not.toContain(secret);
    expect(finished).toMatchObject({ code, stdout: "" });
  });

  test("an id that is nobody's is a sentence", async () => {
    expect(await keys(["revoke", "../../v1/models", "--url", url])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Tenant "default" has no key with the id given.'),
    });
  });
});

describe("the admin client", () => {
  test("adds, lists and revokes", async () => {
    const { key, id } = await addKey(url, testSecret, { name: "x", tenant: "lib" });
    expect(key).toContain(`sk-lib-${id}`);
    expect(await revokeKey(`${url}/`, testSecret, id, "lib")).toMatchObject({ id, tenant: "lib" });
    expect(await listKeys(url, testSecret, "lib")).toMatchObject([{ id, name: "x" }]);
  });

  test.each([
    ["a page that is no API", 200, {}, "<html>", "Is --url the address of an Aerie server?"],
    ["a gateway's error", 502, {}, "Bad gateway", "found status 502 without one"],
    ["a redirect", 302, { Location: "http://127.0.0.1:9/" }, "", "found status 302 without one"],
    ["a sentence that paints the terminal", 403, {}, '{"error":{"message":"\\u001b[31mred"}}', "(403): �[31mred"],
  ])("%s is told as what it is", async (_what, status, headers, body, sentence) => {
    const [other, address] = await listen((_request, response) => response.writeHead(status, headers).end(body));
    try {
      await expect(listKeys(address, testSecret, "default")).rejects.toThrow(sentence);
    } finally {
      other.close();
    }
  });

  test.each([
    "http://localhost:8787",
    "http://127.0.0.1",
    "http://127.1.2.3:1",
    "http://[::1]:8787",
    "https://a.example",
  ])("%s is a server to talk to", (address) => {
    expect(parseServerUrl(address).href).toContain(address);
  });

  test.each([
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://10.0.0.1",
    "ftp://localhost",
    "",
  ])("%j is not", (address) => {
    expect(() => parseServerUrl(address)).toThrow(/--url: expected/);
  });
});
