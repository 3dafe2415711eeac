/** Are templates found and rendered as elsewhere, and can a hostile one do no more than fail? */

import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../shared/errors.ts";
import { TemplateRefusal } from "../../shared/tokenizer/bounded-jinja.ts";
import { type ChatMessage, findChatTemplate, parseChatTemplate } from "../../shared/tokenizer/chat-template.ts";
import { gemmaConfig, gemmaTemplate } from "./gemma.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });
const system = (content: string): ChatMessage => ({ role: "system", content });

const render = (source: string, messages: ChatMessage[] = [user("Hi")]) =>
  parseChatTemplate(source, gemmaConfig).render(messages, { addGenerationPrompt: true });

describe("Gemma's template", () => {
  const template = parseChatTemplate(gemmaTemplate, gemmaConfig);

  it("renders turns, trims contents, calls the assistant model", () => {
    expect(template.render([user("  Hi\n"), assistant("Hello. "), user("Bye")], { addGenerationPrompt: true })).toBe(
      "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n" +
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
    );
    expect(template.render([user("Hi")])).toBe("<bos><start_of_turn>user\nHi<end_of_turn>\n");
  });

  it("refuses what the model was not trained on, in its own words", () => {
    expect(() => template.render([system("Be brief."), user("Hi")])).toThrow(TemplateRefusal);
    expect(() => template.render([system("Be brief."), user("Hi")])).toThrow("System role not supported");
    expect(() => template.render([user("Hi"), user("Hi?")])).toThrow("Conversation roles must alternate");
    expect(() => template.render([assistant("Hello.")])).toThrow(TokenizerError);
  });
});

describe("findChatTemplate", () => {
  it("takes the file, else the config's string, else its default", () => {
    const list = [
      { name: "tool_use", template: "T" },
      { name: "default", template: "D" },
    ];
    expect(findChatTemplate({ chat_template: "C" }, "J")).toBe("J");
    expect(findChatTemplate({ chat_template: "C" })).toBe("C");
    expect(findChatTemplate({ chat_template: list })).toBe("D");
    for (const none of [gemmaConfig, undefined, null, {}, { chat_template: null }, 7]) {
      expect(findChatTemplate(none)).toBeUndefined();
    }
  });

  it("refuses anything else", () => {
    for (const chat_template of [7, [], [null], [{ name: "default" }], [{ name: "other", template: "T" }], {}]) {
      expect(() => findChatTemplate({ chat_template })).toThrow(TokenizerError);
    }
  });
});

describe("a template", () => {
  it("finds what Hugging Face gives it", () => {
    expect(
      render("{{ bos_token }}{{ eos_token }}{{ pad_token }}|{{ messages[0].role }}|{{ messages[0]['content'] }}"),
    ).toBe("<bos><eos><pad>|user|Hi");
    expect(
      render("{% for i in range(1, 7, 2) %}{{ i }}{% endfor %}{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}"),
    ).toBe("135321");
    expect(render("{% if tools is none and documents is none and add_generation_prompt %}yes{% endif %}")).toBe("yes");
    expect(parseChatTemplate("{{ bos_token }}x").render([])).toBe("x");
    expect(parseChatTemplate("{{ bos_token }}x", { bos_token: { content: "<s>" } }).render([])).toBe("<s>x");
  });

  it("has no clock: the same conversation renders the same text for ever", () => {
    expect(render("{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}no date{% endif %}")).toBe(
      "no date",
    );
  });

  it("may break out of its loops as often as it likes", () => {
    const loops =
      "{% for i in range(2000) %}{% for j in [1, 2] %}{% if j == 1 %}{% continue %}{% endif %}{% break %}{% endfor %}{% endfor %}";
    expect(render(`${loops}done`)).toBe("done");
  });

  it("may look at all messages from each of them", () => {
    const messages = Array.from({ length: 2_001 }, (_, i) => (i % 2 === 0 ? user("question") : assistant("answer")));
    const source =
      "{% for m in messages %}{% if messages[loop.index0 - 1].role != m.role and messages | length > 2 %}{{ m.content }}{% endif %}" +
      "{% if m.content in [messages[0].content] %}{{ loop.previtem.role }}{% endif %}{% endfor %}";
    expect(render(source, messages).length).toBeGreaterThan(10_000);
  });

  it("renders a very long conversation", () => {
    const messages = Array.from({ length: 5_001 }, (_, i) => (i % 2 === 0 ? user("question") : assistant("answer")));
    expect(parseChatTemplate(gemmaTemplate).render(messages).length).toBeGreaterThan(200_000);
    expect(render(gemmaTemplate, [user("long ".repeat(1_000_000))]).length).toBeGreaterThan(4_900_000);
  });
});

describe("a hostile template is an error", () => {
  it.each<[what: string, message: string, source: string]>([
    ["syntax", "can't be read", "{% for %}"],
    ["no end", "can't be read", "{% if true %}"],
    ["size", "has 70000 characters", "a".repeat(70_000)],
    ["white space", "white space", " ".repeat(60_000)],
    ["parentheses", "", `{{ ${"(".repeat(30_000)}`],
    ["unary operators", "", `{{ ${"not ".repeat(15_000)} true }}`],
    ["a long range", "range of 1000000 numbers", "{% for i in range(1000000) %}{% endfor %}"],
    ["a longer range", "number beyond", "{% for i in range(1000000000) %}{% endfor %}"],
    ["an endless range", "range of Infinity numbers", "{% for i in range(0, 9, 0) %}{% endfor %}"],
    ["a range of nothing", "range of NaN", "{{ range('x') }}"],
    ["nested loops", "steps", "{% for i in range(50000) %}{% for j in range(50000) %}x{% endfor %}{% endfor %}"],
    [
      "doubling",
      "characters",
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    ],
    [
      "doubling lists",
      "characters",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    ],
    [
      "doubling by nesting",
      "characters",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
    ],
    [
      "doubling by namespaces",
      "a namespace into another value",
      "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}{{ a }}",
    ],
    [
      "a thing that holds itself",
      "a namespace into another value",
      "{% set a = namespace() %}{% set a.x = [a] %}{{ a }}",
    ],
    [
      "empty loops over a long list",
      "steps",
      "{% set list = range(100000) %}{% for i in list %}{% for j in list %}{% endfor %}{% endfor %}",
    ],
    [
      "empty loops over part of a long list",
      "steps",
      "{% set list = range(100000) %}{% for i in list %}{% for j in list if false %}{% endfor %}{% endfor %}",
    ],
    [
      "work on a long text",
      "steps",
      "{% set s = 'x' | indent(900000, true) %}{% for i in range(100000) %}{% set t = s | upper %}{% endfor %}",
    ],
    [
      "sorting for ever",
      "steps",
      "{% set ns = namespace(s=range(90000)) %}{% for i in range(2) %}{% set ns.s = ns.s + ns.s %}{% endfor %}" +
        "{% for i in range(100000) %}{% set t = ns.s | reverse | sort %}{% endfor %}",
    ],
    [
      "defining macros for ever",
      "steps",
      `{% for i in range(90000) %}{% macro f() %}${"{{a}}".repeat(9_000)}{% endmacro %}{% endfor %}`,
    ],
    ["a long sum", "nests", `{{ ${"a+".repeat(30_000)}a }}`],
    ["many tags", "can't be read", `${"{{a}}{%if a%}{%endif%}".repeat(2_800)}{%`],
    ["a long list of long texts", "characters", "{% set s = 'x' | indent(900000, true) %}{{ [s, s, s] }}"],
    ["endless recursion", "nests", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"],
    ["large numbers", "number beyond", "{{ 'a\\nb' | indent(10000000) }}"],
    ["a call of nothing", "failed", "{{ nothing() }}"],
    ["an attribute of nothing", "failed", "{{ (messages | nothing).x }}"],
  ])("%s", (_what, message, source) => {
    const start = performance.now();
    const attempt = () => render(source);
    expect(attempt).toThrow(TokenizerError);
    expect(attempt).toThrow(message);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it("and so is a refusal without words", () => {
    expect(() => render("{{ raise_exception() }}")).toThrow(TemplateRefusal);
    expect(() => render("{{ raise_exception('No.') }}")).toThrow("No.");
  });
});
