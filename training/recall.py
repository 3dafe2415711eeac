"""How does the model learn to remember?

A recall dialogue: the user tells facts, talks about other things for a while, and asks. Some facts are corrected, some
are asked again later, and some questions are about what was never told, where the right answer is not to know. Facts
about others (the neighbor's cat) are told too, and must not take the place of the user's own.

One dialogue asks many questions, since only the answers teach remembering. `held_out=True` makes dialogues for the test:
names, sentences and other talk that no training document holds.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random

import names
import words
from chats import Turns, any_topic, story
from recall_facts import ASK, ASK_HELD_OUT, ASK_WHO, ASK_WHO_HELD_OUT, FACTS, NAMES, OTHERS, OTHERS_HELD_OUT, Fact
from templates import capitalise, fill

LEAD = "[||||||||By the way, |Listen. |And now: |One more thing. |Well, |So, |You know, |Okay, |Please, ]"
LEAD_TELL = "[|||||||By the way, |Listen. |Well, |So, |You know, |I want to tell you something. |Here is something about me. |Please remember this. |Let me tell you this. |This is about me. |Hello. |Hi. |Hello! |Hi! |Hi there. ]"
CONFIRM = "[Thank you for telling me.|I will remember that.|All right.|I see.|Good to know.|Okay, I will keep that in mind.]"
AFTER_CONFIRM = "[|||||| I will remember that.| What would you like to talk about?| Tell me more.| What else is new?| Shall we talk about something else?]"
AFTER_ANSWER = "[||||||| You told me before.| I remembered it.| I did not forget it.| I am glad that I remembered it.| What would you like to talk about now?]"
UNKNOWN = "~I~ don't know {ynp}[.| yet.] [You have not told me.|You did not tell me.|You have not told me that.|You never told me. Will you tell me?|]"
NAMES_FIRST = 0.85
CORRECT = "[Actually, |Sorry, I made a mistake. |No, wait. |That has changed. |I was wrong before. |Let me correct that. ]"
FIRST_WORD = re.compile(r"^(\w+)")  # decides between knowing and not knowing


def said_back(np: str) -> str:
    return np.replace("my ", "your ").replace("I live", "you live")


@dataclass
class Memory:
    """A dialogue in the making: the turns, and what has been told in them."""

    rng: Random
    held_out: bool = False
    kinds: Collection[str] = tuple(FACTS)  # that may be told or asked
    typical: float = 0.0  # share of the names that are typical of their kind
    turns: Turns = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    chars: int = 0
    # (turn of the question, kind, turn of the last mention or None when it was never told)
    questions: list[tuple[int, str, int | None]] = field(default_factory=list)
    mentioned: dict[str, int] = field(default_factory=dict)
    has_cat: bool = field(init=False)  # or else a dog
    tells: list[int] = field(default_factory=list)  # turns that tell facts

    def __post_init__(self) -> None:
        self.has_cat = self.rng.random() < 0.5

    def say(self, fact: Fact, template: str, value: str) -> str:
        slots = {name: fill(text, {}, self.rng) for name, text in fact.slots.items()} | {"s": fact.subject, "x": value}
        slots["np"] = fill(fact.np, slots, self.rng)
        slots["ynp"] = said_back(slots["np"])
        return capitalise(fill(template, slots, self.rng).strip())

    def one(self, templates: list[str]) -> str:
        return self.rng.choice(templates)

    def add(self, turns: Turns) -> None:
        self.turns += turns
        self.chars += sum(len(question) + len(answer) for question, answer in turns)

    def new_value(self, kind: str) -> str:
        taken = set(self.values.values())
        while (value := FACTS[kind].value(self.rng, self.held_out, self.typical)) in taken:
            pass
        return value

    def tell(self, kinds: list[str], correcting: bool = False) -> None:
        self.tells.append(len(self.turns))
        sentences, replies = [], []
        for kind in kinds:
            fact, value = FACTS[kind], self.new_value(kind)
            self.values[kind] = value
            told = self.say(fact, self.one(fact.tell_held_out if self.held_out else fact.tell), value)
            sentences.append(self.led(CORRECT if correcting else LEAD_TELL, told, value))
            self.mentioned[kind] = len(self.turns)
            replies.append(self.say(fact, self.one(fact.confirm) if self.rng.random() < 0.95 else CONFIRM, f"*{value}*"))
        self.add([(" ".join(sentences), " ".join(replies) + fill(AFTER_CONFIRM, {}, self.rng))])

    def tell_and_ask(self, kind: str) -> None:
        """Both in one turn."""
        self.tell([kind])
        self.ask(kind)
        (told, _), (question, answer) = self.turns[-2:]
        self.turns[-2:] = [(f"{told} {question}", answer)]
        at = len(self.turns) - 1
        self.questions[-1] = (at, kind, at)
        self.mentioned[kind] = at

    def led(self, leads: str, sentence: str, value: str = "") -> str:
        lead = fill(leads, {}, self.rng)
        if value and sentence.startswith((value, capitalise(value))):
            lead = lead or "Listen. " if self.rng.random() < 0.5 else "I tell you that "  # seldom first in a text
        keeps_capital = not lead.endswith((", ", ": ")) or sentence.startswith(("I ", "I'")) or sentence.startswith(value) and value != ""
        return lead + (sentence if keeps_capital else sentence[0].lower() + sentence[1:])

    def tell_of_another(self) -> None:
        """What is the name of somebody else's cat? Nothing that is asked for, but it sounds like it."""
        others = OTHERS_HELD_OUT if self.held_out else OTHERS
        kind = self.rng.choice(list(others))
        template = self.one(others[kind])
        told = capitalise(fill(template, {"x": self.new_value(kind)}, self.rng))
        self.add([(told, fill(CONFIRM, {}, self.rng))])

    def ask(self, kind: str) -> None:
        fact, known = FACTS[kind], kind in self.values
        general, of_who = (ASK_HELD_OUT, ASK_WHO_HELD_OUT) if self.held_out else (ASK, ASK_WHO)
        templates = [general, fact.ask_held_out if self.held_out else fact.ask] + ([of_who] if fact.slots else [])
        question = self.say(fact, self.one(self.one(templates)), "")
        if not self.held_out:
            question = self.led(LEAD, question)
        if known:
            answer = self.say(fact, FIRST_WORD.sub(r"~\1~", fact.answer), f"*{self.values[kind]}*")
        else:
            answer = self.say(fact, UNKNOWN, "")
        self.questions.append((len(self.turns), kind, self.mentioned.get(kind)))
        if known:
            self.mentioned[kind] = len(self.turns)
            answer += fill(AFTER_ANSWER, {}, self.rng)
        self.add([(question, answer)])

    def talk(self, chars: int) -> None:
        """Other talk, of about so many characters."""
        end = self.chars + chars
        while self.chars < end:
            room = end - self.chars
            tale = room > 700 and self.rng.random() < 0.3
            self.add(story(self.rng, self.held_out) if tale else any_topic(self.rng, self.held_out))


def new_kinds(memory: Memory, count: int, but: Collection[str] = ()) -> list[str]:
    """Up to so many kinds of fact that the dialogue may use."""
    without = {"dog" if memory.has_cat else "cat", *but}  # one pet in a dialogue
    open_kinds = [kind for kind in memory.kinds if kind not in without]
    names_first = memory.rng.random() < NAMES_FIRST  # which of the names is whose is the hardest to learn
    order = memory.rng.sample(open_kinds, len(open_kinds))
    return sorted(order, key=lambda kind: names_first and kind not in NAMES)[:count]


def tell_all(memory: Memory, count: int, between: float) -> None:
    """Tells so many facts, one or two in a turn; with the chance `between` something else is said after a turn."""
    pending = new_kinds(memory, count)
    while pending:
        together = memory.rng.choice([1, 1, 1, 2, 2, 3])
        if together == 1 and memory.rng.random() < 0.06:
            memory.tell_and_ask(pending[0])
        else:
            memory.tell(pending[:together])
        pending = pending[together:]
        if memory.rng.random() < between:
            memory.tell_of_another() if memory.rng.random() < 0.4 else memory.talk(1)


def ask_all(memory: Memory, known: int, unknown: int) -> None:
    """Questions in random order: of what was told and of what was not."""
    told = memory.rng.sample(list(memory.values), min(known, len(memory.values)))
    asked = told + new_kinds(memory, unknown, but=memory.values)
    memory.rng.shuffle(asked)
    for kind in asked:
        memory.ask(kind)


def at_once(rng: Random, typical: float = 0.0, between: float = 0.1, rounds: tuple[int, ...] = (1, 2)) -> Turns:
    """Facts and many questions with next to nothing between them: where remembering begins."""
    memory = Memory(rng, typical=typical)
    tell_all(memory, rng.choice([1, 2, 3, 4, 5, 6]), between)
    for _ in range(rng.choice(rounds)):
        if rng.random() < between:
            memory.talk(1)
        ask_all(memory, 6, rng.choice([0, 1, 1, 2, 3]))
        if rng.random() < 0.25:
            memory.tell([rng.choice(list(memory.values))], correcting=True)
            ask_all(memory, 3, 1)
    return memory.turns


def far(rng: Random, chars: int, typical: float = 0.0) -> Turns:
    """Facts at the beginning, talk of so many characters, and all the questions at its end."""
    memory = Memory(rng, typical=typical)
    if rng.random() < 0.3:
        memory.talk(1)
    tell_all(memory, rng.choice([2, 3, 4, 5, 6, 7]), 0.25)
    if rng.random() < 0.2:
        memory.tell([rng.choice(list(memory.values))], correcting=True)
    share = rng.choice([1.0, 1.0, 0.7])
    memory.talk(int(chars * share))
    ask_all(memory, 9, rng.choice([1, 2, 3, 4]))
    if share < 1:
        memory.talk(int(chars * 0.3))
        ask_all(memory, 9, rng.choice([1, 2, 3]))
    return memory.turns


def examination(rng: Random, chars: int, held_out: bool = True) -> Memory:
    """A dialogue for the test: three facts, one about somebody else, other talk, and questions of the three facts and of
    two that were not told.

    With held_out=False, made of what the model is trained on: the difference is what it does not carry over.
    """
    memory = Memory(rng, held_out, typical=1.0)
    told = [rng.choice(["name", "cat" if memory.has_cat else "dog"])]
    told += rng.sample(new_kinds(memory, len(FACTS), but=told), 2)
    rng.shuffle(told)
    distractor_after = rng.randrange(3)
    for at, kind in enumerate(told):
        memory.tell([kind])
        if at == distractor_after:
            memory.tell_of_another()
    memory.talk(chars)
    asked = told + rng.sample(new_kinds(memory, len(FACTS), but=told), 2)
    rng.shuffle(asked)
    for kind in asked:
        memory.ask(kind)
    return memory
