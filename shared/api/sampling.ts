/** A request's options in the sampler's terms. */

import type { SamplingRecord } from "../conversation/types.ts";
import type { SamplingFields } from "../protocol/fields.ts";
import type { SamplingInput } from "../sampler/options.ts";
import { parseSampling } from "../sampler/parse-options.ts";
import type { Services } from "./services.ts";

/** Drawn seeds stay below 2⁵³: a reported seed must survive JSON numbers, or it could not be sent again. */
const DRAWN_SEED_BITS = 53;

/** Throws an `OptionError` that names the option. */
export function samplingRecord(
  fields: SamplingFields,
  services: Pick<Services, "drawSeed">,
  { logprobs, topLogprobs }: { readonly logprobs: boolean; readonly topLogprobs: number },
): SamplingRecord {
  const seed = fields.seed ?? BigInt.asUintN(DRAWN_SEED_BITS, services.drawSeed());
  const input: SamplingInput = {
    ...given("temperature", fields.temperature),
    ...given("topP", fields.top_p),
    ...given("topK", fields.top_k),
    ...given("minP", fields.min_p),
    ...given("typicalP", fields.typical_p),
    ...given("repetitionPenalty", fields.repetition_penalty),
    ...given("presencePenalty", fields.presence_penalty),
    ...given("frequencyPenalty", fields.frequency_penalty),
    ...given("logitBias", fields.logit_bias),
    seed,
    logprobs,
    topLogprobs,
  };
  const { logitBias, ...options } = parseSampling(input);
  // The seed is kept as it was written: read back as a number it is the one to report.
  return { ...options, logitBias: [...logitBias], seed: String(seed) };
}

export const reportedSeed = (sampling: SamplingRecord): number => Number(sampling.seed);

export function stopList(stop: SamplingFields["stop"]): readonly string[] {
  return typeof stop === "string" ? [stop] : (stop ?? []);
}

function given<Name extends keyof SamplingInput>(name: Name, value: SamplingInput[Name] | null | undefined) {
  return (value === null || value === undefined ? {} : { [name]: value }) as Partial<Pick<SamplingInput, Name>>;
}
