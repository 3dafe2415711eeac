/** `npm run dev` where it can't start: a sentence that says what to do instead. What it starts is tested over HTTP. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

async function dev(port: string): Promise<{ code: number; stderr: string }> {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const child = spawn(process.execPath, ["cli/dev.ts"], { cwd: root, env: { ...process.env, PORT: port } });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  return { code, stderr };
}

test("a port that is taken", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await dev(`${port}`)).toStrictEqual({
    code: 1,
    stderr: expect.stringMatching(`^aerie: port ${port} is taken: .* choose another one with PORT=\\d+ npm run dev\n$`),
  });
  server.close();
});

test.each(["abc", "0", "65536", "80.5"])("PORT=%s, which is none", async (port) => {
  expect(await dev(port)).toStrictEqual({
    code: 2,
    stderr: `aerie: PORT: expected a whole number from 1 to 65535, found "${port}"\n`,
  });
});
