/** Every backend that the shared suites judge. One that this machine lacks is listed as skipped, never left out. */

import type { Backend } from "../shared/backend/backend.ts";
import { referenceBackend } from "../shared/backend/reference/index.ts";

export interface BackendUnderTest {
  readonly name: string;
  create(): Backend | Promise<Backend>;
}

export const backends: BackendUnderTest[] = [{ name: "reference", create: referenceBackend }];
