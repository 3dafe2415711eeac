/** What the page is told before it starts: an API key and a model, from the address, this tab or the last visit. */

const KEY = "aerie-api-key"; // for this tab alone: a key does not stay behind
const MODEL = "aerie-model";

/** From `#key=sk-…`, which is taken out of the address at once, or from before in this tab; "" if there is none. */
export function rememberedKey(): string {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("key");
  if (given === null) return sessionStorage.getItem(KEY) ?? "";
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname + location.search);
  return given;
}

/** From `?model=…` or the last visit; "" if there is none. */
export const rememberedModel = (): string =>
  new URLSearchParams(location.search).get("model") ?? localStorage.getItem(MODEL) ?? "";

export function remember(apiKey: string, model: string): void {
  sessionStorage.setItem(KEY, apiKey);
  localStorage.setItem(MODEL, model);
}
