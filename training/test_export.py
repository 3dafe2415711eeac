"""Is the exported chat template what the model is trained on?  Run with `python -m pytest`."""

from random import Random

import jinja2
import pytest

from export import CHAT_TEMPLATE
from grammar import chat_document

TEMPLATE = jinja2.Environment().from_string(CHAT_TEMPLATE)


def rendered(*messages: tuple[str, str], **options: bool) -> str:
    def refuse(reason: str) -> None:
        raise ValueError(reason)

    return TEMPLATE.render(messages=[{"role": r, "content": c} for r, c in messages], bos_token="<bos>", raise_exception=refuse, **options)


def test_a_chat_is_written_as_the_grammar_writes_it() -> None:
    turns = [("Count to five.", "One, two, three, four, five."), ("Is 3 a number?", "Yes.")]
    messages = [message for question, answer in turns for message in (("user", question), ("assistant", answer))]
    documents = {"<bos>" + chat_document(turns, Random(seed)).text for seed in range(30)}
    assert rendered(*messages) in documents


def test_a_system_text_stands_before_the_first_question() -> None:
    asked = rendered(("system", "You are Pip. "), ("user", " Who are you?"), add_generation_prompt=True)
    assert asked == "<bos><start_of_turn>user\nYou are Pip.\n\nWho are you?<end_of_turn>\n<start_of_turn>model\n"


@pytest.mark.parametrize("messages", [[("system", "Be kind.")], [("assistant", "Hello!")], [("user", "Hi"), ("user", "Hello?")]])
def test_what_is_no_conversation_is_refused(messages: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError):
        rendered(*messages)
