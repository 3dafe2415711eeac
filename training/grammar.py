"""Which documents is the model trained on?

    python grammar.py [count] [seed]        prints documents

A document is a plain story or a chat in the turn format of Gemma 1. The same seed gives the same documents.
"""

import sys
from dataclasses import dataclass
from random import Random

import words
from chats import Turns, any_topic, repeating, story
from recall import filler, recall
from stories import new_story
from templates import fill

START, END = "<start_of_turn>", "<end_of_turn>"

# (kind, share of the documents)
MIX = [("story", 12), ("story chat", 25), ("chat", 18), ("echo", 8), ("short recall", 20), ("long recall", 18), ("long chat", 3)]


@dataclass
class Document:
    """Pieces of text, each with a mark whether the model wrote it. What the user wrote is not for the model to learn."""

    pieces: list[tuple[str, bool]]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


def new_document(rng: Random) -> Document:
    kind = rng.choices([kind for kind, _ in MIX], [share for _, share in MIX])[0]
    match kind:
        case "story":
            return Document([(new_story(rng), True)])
        case "story chat":
            turns = story(rng)
            if rng.random() < 0.15:
                turns = any_topic(rng) + turns
        case "chat":
            turns = [turn for _ in range(rng.choice([1, 1, 1, 2, 3, 4])) for turn in any_topic(rng)]
        case "echo":
            turns = [turn for _ in range(rng.choice([1, 1, 2])) for turn in repeating(rng)]
        case "short recall":
            turns = recall(rng, facts=rng.choice([1, 1, 1, 2, 3]), target_chars=rng.choice([0, 0, 200, 500]))
        case "long recall":
            turns = recall(rng, facts=rng.choice([1, 2, 3, 4]), target_chars=rng.randint(1300, 2400))
        case "long chat":
            turns = filler(rng, rng.randint(1300, 2400))
    return chat_document(turns, rng)


def chat_document(turns: Turns, rng: Random) -> Document:
    turns = [(careless(question, rng), answer) for question, answer in turns]
    if rng.random() < 0.06:
        turns = with_system_message(turns, rng)
    pieces = []
    for question, answer in turns:
        pieces += [(f"{START}user\n{question}{END}\n{START}model\n", False), (f"{answer}{END}", True), ("\n", False)]
    return Document(pieces)


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
    """A system message stands before the first question. It may give the model another name."""
    (question, answer), *rest = turns
    if rng.random() < 0.4:
        name = rng.choice(words.ANIMAL_NAMES)
        asked = fill("[What is your name?|Who are you?|What's your name?]", {}, rng)
        named = fill("My name is {name}. [How can I help you?|It is nice to meet you. What is your name?]", {"name": name}, rng)
        return [(fill("[Your name is {name}.|You are {name}.|You are {name}, a friendly helper.]\n\n", {"name": name}, rng) + asked, named), *turns]
    message = fill("[You are a helpful assistant.|You are a friendly storyteller.|Answer in short sentences.|Be kind and polite.|You talk with children.|You are a small language model.]\n\n", {}, rng)
    return [(message + question, answer), *rest]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    rng = Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(count):
        print(new_document(rng).text, "\n" + "-" * 80)
