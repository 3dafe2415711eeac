/** The server's models, its default first. */

import { AerieError } from "../../../../shared/errors.ts";

export async function listModels(apiKey: string): Promise<string[]> {
  const response = await fetch("/v1/models", { headers: { authorization: `Bearer ${apiKey}` } }).catch((cause) => {
    throw new AerieError("models", "The server can't be reached: name the model that was loaded before, or go online", {
      cause,
    });
  });
  const body = (await response.json()) as { data?: { id: string }[]; error?: { message: string } };
  if (!response.ok) throw new AerieError("models", body.error?.message ?? `The server answered ${response.status}`);
  return (body.data ?? []).map(({ id }) => id);
}
