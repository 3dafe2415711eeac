/** The head of the OpenAPI document. */

export const openApiInfo = {
  openapi: "3.1.0",
  info: {
    title: "Aerie",
    version: "1",
    description:
      "Fixed-state language models behind an OpenAI-compatible API: a conversation's memory is one state of constant size, so continuing it costs the new tokens alone.",
  },
  security: [{ bearer: [] }],
};
