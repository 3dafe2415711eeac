"""How does a template become a sentence?

A template is text with choices and slots:

    [One day|One morning], {name} found a(n) {thing}.

`[a|b|c]` is one of its parts, by chance (they nest); `{slot}` is a word from a table, and `{Slot}` the same word with
a capital letter; `a(n)` becomes "a" or "an", whichever the next word wants. `*…*` marks what can only be known from
earlier text and `~…~` the word that decides whether it is known; both weigh more in training (see grammar.py), and the
marks are not part of the text.
"""

import re
from random import Random

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
ARTICLE = re.compile(r"\b([Aa])\(n\) (\*?)(\w+)")
SOUNDS_LIKE_A_CONSONANT = ("uni", "use", "one", "eu")  # a unicorn, a useful box
SILENT_H = ("honest", "hour")


def fill(template: str, slots: dict[str, str], rng: Random) -> str:
    text = template
    while CHOICE.search(text):
        text = CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
    text = SLOT.sub(lambda match: slot(match[1], slots), text)
    return ARTICLE.sub(lambda match: f"{match[1]}{'n' if wants_an(match[3]) else ''} {match[2]}{match[3]}", text)


def slot(name: str, slots: dict[str, str]) -> str:
    if name in slots:
        return slots[name]
    return capitalise(slots[name[0].lower() + name[1:]])


def capitalise(text: str) -> str:
    first = len(text) - len(text.lstrip("*~"))  # behind a mark
    return text[:first] + text[first : first + 1].upper() + text[first + 1 :]


def wants_an(word: str) -> bool:
    word = word.lower()
    if word.startswith(SILENT_H):
        return True
    return word[0] in "aeiou" and not word.startswith(SOUNDS_LIKE_A_CONSONANT)


def with_article(words: str) -> str:
    return f"{'an' if wants_an(words) else 'a'} {words}"


def listed(words: list[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def part(items: list, held_out: bool) -> list:
    """The items to train on, or every tenth, which is kept for the test."""
    return [item for i, item in enumerate(items) if (i % 10 == 4) == held_out]
