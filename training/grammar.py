"""Which documents is the model trained on?

    python grammar.py [count] [seed]        prints documents

A document is a plain story or a chat in the turn format of Gemma 1. The same seed gives the same documents.
"""

import re
import sys
from dataclasses import dataclass
from random import Random

import names
from chats import Turns, any_topic, repeating, story
from recall import Memory, at_once, far
from stories import new_story
from templates import fill

START, END = "<start_of_turn>", "<end_of_turn>"

# (kind, share of the documents)
Mix = list[tuple[str, float]]
MIX: Mix = [("story", 12), ("story chat", 25), ("chat", 16), ("echo", 6), ("recall at once", 24), ("far recall", 15), ("long chat", 2)]
GAPS = (400, 5000)  # characters between a fact and its question in a far recall


MARKED = re.compile(r"( ?\*[^*]+\*|~\w+~)")  # with the space before it, which belongs to the word's token
REMEMBERED_WEIGHT, COPIED_WEIGHT, DECISION_WEIGHT = 8.0, 4.0, 5.0


@dataclass
class Document:
    """Pieces of text with their weights in the loss. What the user wrote weighs 0: the model reads it, no more."""

    pieces: list[tuple[str, float]]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


def new_document(rng: Random, mix: Mix = MIX, gaps: tuple[int, int] = GAPS, typical: float = 0.0) -> Document:
    kind = rng.choices([kind for kind, _ in mix], [share for _, share in mix])[0]
    match kind:
        case "story":
            return Document(weighted(new_story(rng)))
        case "story chat":
            turns = story(rng)
            if rng.random() < 0.15:
                turns = any_topic(rng) + turns
        case "chat":
            turns = [turn for _ in range(rng.choice([1, 1, 1, 2, 3, 4])) for turn in any_topic(rng)]
        case "echo":
            turns = [turn for _ in range(rng.choice([1, 1, 2])) for turn in repeating(rng)]
        case "recall at once":
            turns = at_once(rng, typical)
        case "far recall":
            low, high = gaps
            turns = far(rng, round(low * (high / low) ** rng.random()), typical)  # as many from 400 to 800 as from 2000 to 4000
        case "long chat":
            turns = talk(rng, rng.randint(1300, 2400))
        case _:
            raise ValueError(f"no document is called {kind}")
    return chat_document(turns, rng)


def talk(rng: Random, chars: int) -> Turns:
    memory = Memory(rng)
    memory.talk(chars)
    return memory.turns


def chat_document(turns: Turns, rng: Random) -> Document:
    turns = [(careless(question, rng), answer) for question, answer in turns]
    if rng.random() < 0.06:
        turns = with_system_message(turns, rng)
    return Document([piece for question, answer in turns for piece in chat_pieces(question, answer)])


def chat_pieces(question: str, answer: str) -> list[tuple[str, float]]:
    return [(f"{START}user\n{unmarked(question)}{END}\n{START}model\n", 0.0), *weighted(answer), (f"{END}\n", 1.0)]


def weighted(text: str) -> list[tuple[str, float]]:
    value = REMEMBERED_WEIGHT if "~" in text else COPIED_WEIGHT  # only the answer to a question holds a decision
    weight = lambda part: value if "*" in part else DECISION_WEIGHT if "~" in part else 1.0  # noqa: E731
    return [(unmarked(part), weight(part)) for part in MARKED.split(text) if part]


def unmarked(text: str) -> str:
    return text.replace("*", "").replace("~", "")


def careless(question: str, rng: Random) -> str:
    """As people type: sometimes without a capital or a full stop, and in British spelling."""
    if rng.random() < 0.15:
        question = question.replace("favorite", "favourite").replace("color", "colour")
    if rng.random() < 0.12 and not question.startswith(("I ", "I'")):
        question = question[0].lower() + question[1:]
    if rng.random() < 0.1 and question[-1] in ".?!":
        question = question[:-1]
    return question


def with_system_message(turns: Turns, rng: Random) -> Turns:
    """A system message stands before the first question. It may give the model another name, or say the user's."""
    (question, answer), *rest = turns
    kind = rng.random()
    if kind < 0.35:
        name = names.composed(rng) if rng.random() < 0.5 else rng.choice(names.PETS + names.GIRLS + names.BOYS)
        asked = fill("[What is your name?|Who are you?|What's your name?|What are you called?|Tell me your name.]", {}, rng)
        named = fill("My name is *{name}*. [How can I help you?|It is nice to meet you. What is your name?]", {"name": name}, rng)
        return [(fill("[Your name is {name}.|You are {name}.|You are {name}, a friendly helper.|You are called {name}. Be kind.]\n\n", {"name": name}, rng) + asked, named), *turns]
    if kind < 0.6:
        name = names.composed(rng) if rng.random() < 0.7 else rng.choice(names.GIRLS + names.BOYS)
        system = fill("[The user is called {name}.|The name of the user is {name}.|You talk with {name}.|The user's name is {name}. Be friendly.]\n\n", {"name": name}, rng)
        asked = fill("[What is my name?|Do you know my name?|Who am I?|What's my name?]", {}, rng)
        return [(system + question, answer), *rest, (asked, f"Your name is *{name}*.")]
    message = fill("[You are a helpful assistant.|You are a friendly storyteller.|Answer in short sentences.|Be kind and polite.|You talk with children.|You are a small language model.|You are a helpful and friendly assistant. Answer briefly.|Keep your answers short and simple.]\n\n", {}, rng)
    return [(message + question, answer), *rest]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    rng = Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(count):
        print(new_document(rng).text, "\n" + "-" * 80)
