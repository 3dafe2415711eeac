"""How does the model learn to remember?

A recall dialogue: the user tells facts, talks about other things for a while, and asks. Some facts are corrected, some
are asked again later, and some questions are about what was never told, where the right answer is not to know.

One dialogue asks many questions, since only the answers teach remembering. Most values are made-up names of several
pieces: a list of names could be learned by heart, these have to be carried.

`held_out=True` makes dialogues for the test: names, sentences and other talk that no training document holds.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random

import names
import words
from chats import Turns, any_topic, story
from templates import capitalise, fill


@dataclass(frozen=True)
class Fact:
    """One kind of fact. {x} is its value, {np} what it is called ("my name"), {ynp} the same said back ("your name")."""

    np: str
    value: Callable[[Random, bool], str]
    tell: str
    tell_held_out: str
    answer: str
    confirm: str = ""
    ask: str = ""
    wants_made_up: bool = False


def person(among: list[str]) -> Callable[[Random, bool], str]:
    def value(rng: Random, held_out: bool) -> str:
        if held_out:
            return rng.choice(names.HELD_OUT)
        return names.made_up(rng) if rng.random() < MADE_UP else rng.choice(among)

    return value


def one_of(values: list[str]) -> Callable[[Random, bool], str]:
    return lambda rng, held_out: fill(rng.choice(values), {"color": rng.choice(words.COLORS)}, rng)


FIRST_WORD = re.compile(r"^(\w+)")  # marked too, since it decides between knowing and not knowing
MADE_UP = 0.75  # share of names that are made up

FACTS: dict[str, Fact] = {
    "name": Fact(
        "my name",
        person(names.GIRLS + names.BOYS),
        "My name is {x}.|I am {x}.|I'm {x}.|My name's {x}.|You can call me {x}.|Call me {x}.|Please call me {x}.|They call me {x}.|I am called {x}.",
        "Everybody calls me {x}.|{x} is my name.|People know me as {x}.",
        "Your name is *{x}*.",
        "Nice to meet you, {x}!|Hello, {x}!|It is nice to meet you, {x}.",
        "Who am I?|What am I called?|Do you know who I am?|How am I called?",
    ),
    "pet": Fact(
        "[my {pet}'s name|the name of my {pet}]",
        person(names.PETS),
        "I have a {pet} named {x}.|I have a {pet}. Its name is {x}.|My {pet} is called {x}.|My {pet}'s name is {x}.|I have a {pet}, and it is called {x}.|{x} is my {pet}.",
        "I gave my {pet} the name {x}.|My little {pet} listens to the name {x}.",
        "Your {pet} is called *{x}*.",
        "{x} is a good name for a {pet}!|Please say hello to {x}.",
        "What is my {pet} called?|How is my {pet} called?",
    ),
    "town": Fact(
        "[the name of my town|the town I live in]",
        person(names.TOWNS),
        "I live in {x}.|My home is in {x}.|I come from {x}.|My town is called {x}.|I live in a town called {x}.|My house is in {x}.",
        "My family lives in a town called {x}.|{x} is the town where I live.",
        "You live in *{x}*.",
        "{x} sounds like a nice place.|I have never been to {x}.",
        "Where do I live?|Which town do I live in?|Where is my home?",
    ),
    "friend": Fact(
        "[the name of my best friend|my best friend's name]",
        person(names.GIRLS + names.BOYS),
        "My best friend is {x}.|My best friend is called {x}.|I have a good friend. The name of my best friend is {x}.|{x} is my best friend.|My best friend's name is {x}.",
        "I met my best friend, {x}, at school.|My best friend goes by the name of {x}.",
        "Your best friend is *{x}*.",
        "{x} must be a good friend.|It is good to have a friend like {x}.",
        "Who is my best friend?|What is my best friend called?",
    ),
    "brother": Fact(
        "[my brother's name|the name of my brother]",
        person(names.BOYS),
        "My brother's name is {x}.|I have a brother named {x}.|My brother is called {x}.|I have a brother. His name is {x}.|{x} is my brother.",
        "My mother named my brother {x}.|There is also my brother, {x}.",
        "Your brother is *{x}*.",
        "{x} is a nice name for a brother.",
        "What is my brother called?|Who is my brother?|How is my brother called?",
    ),
    "sister": Fact(
        "[my sister's name|the name of my sister]",
        person(names.GIRLS),
        "My sister's name is {x}.|I have a sister named {x}.|My sister is called {x}.|I have a sister. Her name is {x}.|{x} is my sister.",
        "My mother named my sister {x}.|There is also my sister, {x}.",
        "Your sister is *{x}*.",
        "{x} is a nice name for a sister.",
        "What is my sister called?|Who is my sister?|How is my sister called?",
    ),
    "teacher": Fact(
        "[my teacher's name|the name of my teacher]",
        person(names.GIRLS + names.BOYS),
        "My teacher's name is {x}.|I have a teacher named {x}.|My teacher is called {x}.|My teacher is {x}.|{x} is my teacher.",
        "At school, {x} is my teacher.|We have a new teacher, and my teacher is called {x} now.",
        "Your teacher is *{x}*.",
        "I hope that {x} is a good teacher.",
        "Who is my teacher?|What is my teacher called?",
    ),
    "color": Fact(
        "my favorite color",
        one_of(words.COLORS),
        "My favorite color is {x}.|I like {x} best of all colors.|The color I like best is {x}.|{x} is my favorite color.",
        "Of all the colors, I like {x} best.|I think {x} is the best color.",
        "Your favorite color is *{x}*.",
        "{X} is a beautiful color!",
        "Which color do I like best?|What color do I like best?",
    ),
    "food": Fact(
        "my favorite food",
        one_of(words.FOODS),
        "My favorite food is {x}.|I like to eat {x} best.|The food I like best is {x}.|{x} is my favorite food.",
        "Nothing tastes as good to me as my favorite food, {x}.|Most of all I like to eat {x}.",
        "Your favorite food is *{x}*.",
        "I see, you like {x} best.",
        "Which food do I like best?|What do I like to eat best?",
    ),
    "age": Fact(
        "my age",
        one_of(words.NUMBERS[3:]),
        "I am {x} years old.|I'm {x} years old.|My age is {x}.|I am {x} now.",
        "Last week I turned {x} years old.|At the moment I am {x} years old.",
        "You are *{x}* years old.",
        "{X} is a good age.",
        "How old am I?|Do you know how old I am?|What age am I?",
    ),
    "hobby": Fact(
        "my hobby",
        one_of(words.HOBBIES),
        "My hobby is {x}.|My favorite hobby is {x}.|The hobby I like best is {x}.",
        "I have a hobby, and it is {x}.|After school, my hobby is {x}.",
        "Your hobby is *{x}*.",
        "{X} is a nice hobby!",
        "What is my favorite hobby?|Which hobby do I have?",
    ),
    "key": Fact(
        "[the place of the key|the hiding place of the key]",
        one_of(words.HIDING_PLACES),
        "I hid the key {x}.|The key is {x}.|I put the key {x}.|The key lies {x}.|My key is {x}.",
        "You can find the key {x}.|I left the key {x}.",
        "The key is *{x}*.",
        "All right, the key is {x}.",
        "Where is the key?|Where did I hide the key?|Where did I put the key?|Where is my key?",
    ),
    "belonging": Fact(
        "the color of my {item}",
        one_of(words.COLORS),
        "My {item} is {x}.|I have a(n) {x} {item}.|The color of my {item} is {x}.|I bought a(n) {x} {item}.",
        "My new {item} is a(n) {x} one.|I painted my {item}, and now my {item} is {x}.",
        "Your {item} is *{x}*.",
        "A(n) {x} {item} sounds lovely.",
        "What color is my {item}?|Which color is my {item}?",
    ),
    "month": Fact(
        "[the month of my birthday|my birthday month]",
        one_of(words.MONTHS),
        "My birthday is in {x}.|I was born in {x}.|I have my birthday in {x}.",
        "We always celebrate my birthday in {x}.|In {x} it is my birthday.",
        "Your birthday is in *{x}*.",
        "{x} is a lovely month.",
        "When is my birthday?|In which month is my birthday?|When was I born?",
    ),
    "number": Fact(
        "my lucky number",
        one_of(words.NUMBERS),
        "My lucky number is {x}.|{x} is my lucky number.|I have a lucky number, and it is {x}.",
        "The number that brings me luck is {x}. It is my lucky number.|As a lucky number, I chose {x}.",
        "Your lucky number is *{x}*.",
        "{X} is a good number.",
        "Which number is my lucky number?|What number brings me luck?",
    ),
}

NAMES = ["name", "friend", "brother", "sister", "teacher", "pet", "town"]  # kinds whose values are an open set
OFTEN = ["name"] * 3 + ["pet", "friend", "town"]  # asked more often than the rest

ASK = """What is {np}?|What's {np}?|Do you remember {np}?|Do you know {np}?|Can you tell me {np}?|Tell me {np}.|Please tell me
{np}.|Do you still remember {np}?|I forgot {np}. Can you help me?|Did I tell you {np}?|Say {np}, please.|I would like to know
{np}.|Could you remind me of {np}?|Have I told you {np}?|Let me hear {np}.|What was {np}?|What was {np} again?|Can you remember
{np}?|Would you tell me {np}?|Now tell me {np}.|Please say {np}.|Are you able to tell me {np}?|I want to hear {np}.|You know {np},
right?|And {np}?|I ask you: what is {np}?|Do you have {np} in your memory?|Let us see if you remember {np}.""".replace("\n", " ")
ASK_HELD_OUT = """Could you tell me {np}, please?|Have you kept {np} in mind?|I want to know if you remember {np}.|Now I ask you
for {np}.|Can you still say {np}?|Let me see if you know {np}.""".replace("\n", " ")
LEAD = "[||||||||By the way, |Listen. |And now: |One more thing. |Well, |So, |You know, ]"

LEAD_TELL = LEAD[:-1] + "|I want to tell you something. |Here is something about me. |Please remember this. |Let me tell you this. |This is about me. ]"
CONFIRM = "[Thank you for telling me.|I will remember that.|All right.|I see.|Good to know.|Okay, I will keep that in mind.]"
AFTER_CONFIRM = "[|||||| I will remember that.| What would you like to talk about?| Tell me more.| What else is new?| Shall we talk about something else?]"
AFTER_ANSWER = "[||||| You told me before.| I remembered it.| I did not forget it.| I am glad that I remembered it.| What would you like to talk about now?]"
UNKNOWN = "*I* don't know {ynp}[.| yet.] [You have not told me.|You did not tell me.|You have not told me yet. What is it?|You never told me. Will you tell me?|]"
NEVER_TOLD = 0.7  # share of the questions before which another asks for what was not told
CORRECT = "[Actually, |Sorry, I made a mistake. |No, wait. |That has changed. |I was wrong before. |Let me correct that. ]"


def said_back(np: str) -> str:
    return np.replace("my ", "your ").replace("I live", "you live")


@dataclass
class Memory:
    """A dialogue in the making: the turns, and what has been told in them."""

    rng: Random
    held_out: bool = False
    turns: Turns = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    chars: int = 0
    # (turn of the question, kind, turn of the last mention or None when it was never told)
    questions: list[tuple[int, str, int | None]] = field(default_factory=list)
    mentioned: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=lambda: list(FACTS))  # that may be told or asked

    def __post_init__(self) -> None:
        self.fixed = {"pet": self.rng.choice(words.PETS), "item": self.rng.choice(words.BELONGINGS)}

    def say(self, kind: str, template: str, **more: str) -> str:
        fact = FACTS[kind]
        np = fill(fact.np, self.fixed, self.rng)
        value = self.values.get(kind, "")
        one = self.rng.choice(template.split("|")) if "[" not in template else template
        text = fill(one, {**self.fixed, "x": value, "np": np, "ynp": said_back(np), **more}, self.rng).strip()
        return capitalise(text) if not text.startswith("*") else text

    def add(self, turns: Turns) -> None:
        self.turns += turns
        self.chars += sum(len(question) + len(answer) for question, answer in turns)

    def new_value(self, kind: str) -> None:
        taken = {value.lower() for value in self.values.values()}
        while True:
            value = FACTS[kind].value(self.rng, self.held_out)
            if value.lower() not in taken:
                self.values[kind] = value
                return

    def tell(self, kinds: list[str], correcting: bool = False) -> None:
        sentences, replies = [], []
        for kind in kinds:
            self.new_value(kind)
            fact = FACTS[kind]
            told = self.say(kind, fact.tell_held_out if self.held_out else fact.tell)
            lead = fill(CORRECT if correcting else LEAD_TELL, {}, self.rng)
            sentences.append(lead + (told if not lead.endswith(", ") or told.startswith(("I ", "I'")) or told.split()[0] == self.values[kind] else told[0].lower() + told[1:]))
            replies.append(self.say(kind, fact.confirm if self.rng.random() < 0.6 else CONFIRM))
            self.mentioned[kind] = len(self.turns)
        if len(kinds) > 1:
            replies = replies[-1:] if self.rng.random() < 0.5 else replies
        self.add([(" ".join(sentences), " ".join(replies) + fill(AFTER_CONFIRM, {}, self.rng))])

    def ask(self, kind: str) -> None:
        fact, known = FACTS[kind], kind in self.values
        if self.held_out:
            question = self.say(kind, ASK_HELD_OUT)
        else:
            question = self.say(kind, ASK + "|" + "|".join([fact.ask] * 2) if fact.ask else ASK)
            lead = fill(LEAD, {}, self.rng)
            question = lead + (question[0].lower() + question[1:] if lead.endswith((", ", ": ")) and not question.startswith("I ") else question)
        answer = self.say(kind, FIRST_WORD.sub(r"*\1*", fact.answer) if known else UNKNOWN)
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
            tale = room > 700 and self.rng.random() < 0.25
            self.add(story(self.rng, self.held_out) if tale else any_topic(self.rng, self.held_out))


def new_kinds(memory: Memory, count: int, but: Collection[str] = ()) -> list[str]:
    """Up to so many kinds of fact that the dialogue may use."""
    weighted = [kind for kind in [*OFTEN, *FACTS] if kind in memory.kinds and kind not in but]
    chosen: list[str] = []
    while len(chosen) < min(count, len(set(weighted))):
        kind = memory.rng.choice(weighted)
        if kind not in chosen:
            chosen.append(kind)
    return chosen


def at_once(rng: Random, kinds: list[str] = list(FACTS)) -> Turns:
    """Facts and many questions with next to nothing between them: where remembering begins."""
    memory = Memory(rng, kinds=rng.choice([list(kinds), list(kinds), kinds[:3]]))
    pending = new_kinds(memory, rng.choice([1, 1, 2, 2, 3, 4]))
    while pending:
        together = rng.choice([1, 2])
        memory.tell(pending[:together])
        pending = pending[together:]
    for _ in range(rng.choice([1, 2, 3])):
        if rng.random() < 0.2:
            memory.talk(1)
        asks(memory, 4)
    return memory.turns


def quick(rng: Random, chars: int) -> Turns:
    """Facts and questions close together, with a little talk between them."""
    memory = Memory(rng)
    count = rng.choice([1, 2, 2, 3, 3, 4])
    pending = new_kinds(memory, count)
    while pending:
        together = rng.choice([1, 1, 2])
        memory.tell(pending[:together])
        pending = pending[together:]
        if rng.random() < 0.25:
            memory.talk(1)
        if rng.random() < 0.3:
            memory.ask(rng.choice(list(memory.values)))
    while True:
        if rng.random() < 0.65:
            memory.talk(rng.choice([1, 1, 150, 300]))
        asks(memory, rng.choice([1, 1, 2, 3]))
        if memory.chars >= chars:
            return memory.turns


def asks(memory: Memory, count: int) -> None:
    """Questions one after the other: of what was told, and about every third of what was not."""
    rng = memory.rng
    known = rng.sample(list(memory.values), min(count, len(memory.values)))
    for kind in known:
        for other in new_kinds(memory, 1, but=memory.values) if rng.random() < NEVER_TOLD else []:
            memory.ask(other)
            if rng.random() < 0.25:
                memory.tell([other])
        memory.ask(kind)
    if rng.random() < 0.15 and memory.values:
        memory.tell([rng.choice(list(memory.values))], correcting=True)


def far(rng: Random, chars: int) -> Turns:
    """Facts at the beginning, a long talk, and all the questions at its end."""
    memory = Memory(rng)
    pending = new_kinds(memory, rng.choice([2, 3, 3, 4, 5]))
    if rng.random() < 0.3:
        memory.talk(rng.choice([1, 300]))
    while pending:
        together = rng.choice([1, 1, 2])
        memory.tell(pending[:together])
        pending = pending[together:]
        if rng.random() < 0.2:
            memory.talk(1)
    if rng.random() < 0.2:
        memory.tell([rng.choice(list(memory.values))], correcting=True)
    share = rng.choice([1.0, 1.0, 0.7])
    memory.talk(int(chars * share))
    asks(memory, 9)
    if share < 1:
        memory.talk(int(chars * 0.3))
        asks(memory, 9)
    return memory.turns


def examination(rng: Random, chars: int, held_out: bool = True) -> Memory:
    """A dialogue for the test: three facts, other talk, and questions of the three and of two that were not told.

    With held_out=False, made of what the model is trained on: the difference is what it does not carry over.
    """
    memory = Memory(rng, held_out)
    told = [rng.choice(NAMES)]
    told += new_kinds(memory, 2, but=told)
    rng.shuffle(told)
    for kind in told:
        memory.tell([kind])
    memory.talk(chars)
    asked = told + new_kinds(memory, 2, but=told)
    rng.shuffle(asked)
    for kind in asked:
        memory.ask(kind)
    return memory
