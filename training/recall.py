"""How does the model learn to remember?

A recall dialogue: the user tells facts, talks about other things for a while, and then asks. Some facts are corrected
later, and some questions are about facts that were never told, where the right answer is that it does not know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import words
from chats import Turns, any_topic, story
from templates import capitalise, fill, listed

INVENTED_NAMES = 0.1  # share of names that are put together from syllables, so that copying must be learned


@dataclass
class Fact:
    """One kind of fact. {x} is its value; templates see a fresh value for each dialogue."""

    value: Callable[[Random], str]
    tell: str
    confirm: str
    ask: str
    answer: str
    unknown: str
    correct: str


def a_name(rng: Random) -> str:
    if rng.random() < INVENTED_NAMES:
        return capitalise("".join(rng.sample(words.SYLLABLES, rng.choice([2, 2, 3]))))
    return rng.choice(words.GIRLS + words.BOYS)


def a_pet_name(rng: Random) -> str:
    return rng.choice(words.ANIMAL_NAMES) if rng.random() < 0.8 else a_name(rng)


def a_hiding_place(rng: Random) -> str:
    return fill(rng.choice(words.HIDING_PLACES), {"color": rng.choice(words.COLORS)}, rng)


FACTS: dict[str, Fact] = {
    "name": Fact(
        a_name,
        "[My name is {x}.|I am {x}.|I'm {x}.|Hi, I'm {x}.|Hello, my name is {x}.|You can call me {x}.|Hello! My name is {x}.|My name's {x}.]",
        "[Nice to meet you, {x}!|Hello, {x}! It is nice to meet you.|{x} is a lovely name.] [I will remember it while we talk.|What would you like to talk about?|What would you like to do today?]",
        "[What is my name?|What's my name?|Do you remember my name?|Who am I?|What am I called?|Can you tell me my name?|Do you know my name?]",
        "Your name is {x}. [It is a lovely name, and I did not forget it.|You told me before, and I remembered it.|I am glad that I remembered it.] What would you like to talk about now?",
        "You have not told me your name yet. What is your name?",
        "[Actually, my name is {x}, not {old}.|I made a mistake. My name is {x}.|Sorry, I meant to say that my name is {x}.|No, my name is {x}.]",
    ),
    "pet": Fact(
        a_pet_name,
        "[I have a {pet} named {x}.|I have a {pet}. Its name is {x}.|My {pet} is called {x}.|My {pet}'s name is {x}.]",
        "{x} is a good name for a {pet}! [I would love to hear more about {x}.|What does {x} like to do?|Please say hello to {x}.]",
        "[What is the name of my {pet}?|What is my {pet}'s name?|What is my {pet} called?|Do you remember the name of my {pet}?]",
        "Your {pet} is called {x}. [I hope {x} is well.|It is a good name for a {pet}.]",
        "You have not told me the name of your {pet}. What is it called?",
        "[Actually, my {pet} is called {x}, not {old}.|Sorry, the name of my {pet} is {x}.]",
    ),
    "color": Fact(
        lambda rng: rng.choice(words.COLORS),
        "[My favorite color is {x}.|I like {x} best of all colors.|The color I like best is {x}.]",
        "{X} is a beautiful color! [I will remember that.|Do you have many things that are {x}?]",
        "[What is my favorite color?|Do you remember my favorite color?|Which color do I like best?|What color do I like?]",
        "Your favorite color is {x}. [You told me that before.|It is a beautiful color.]",
        "You have not told me your favorite color yet. Which color do you like best?",
        "[Actually, my favorite color is {x}, not {old}.|I changed my mind. My favorite color is {x}.]",
    ),
    "food": Fact(
        lambda rng: rng.choice(words.FOODS),
        "[My favorite food is {x}.|I like to eat {x} most of all.]",
        "I see, you like {x} best. [I will remember that.|That sounds delicious.]",
        "[What is my favorite food?|Do you remember my favorite food?|What do I like to eat?]",
        "Your favorite food is {x}. [You told me that before.|It sounds delicious.]",
        "You have not told me your favorite food yet. What do you like to eat?",
        "[Actually, my favorite food is {x}, not {old}.|I changed my mind. My favorite food is {x}.]",
    ),
    "town": Fact(
        lambda rng: rng.choice(words.TOWNS),
        "[I live in {x}.|My home is in {x}.|I come from {x}.]",
        "{x} sounds like a nice place to live. [Do you like it there?|What is it like there?]",
        "[Where do I live?|Do you remember where I live?|Which town do I live in?]",
        "You live in {x}. [You told me that before.|I hope you like it there.]",
        "You have not told me where you live. Where do you live?",
        "[Actually, I live in {x}, not in {old}.|Sorry, I meant {x}. I live in {x}.]",
    ),
    "age": Fact(
        lambda rng: rng.choice(words.NUMBERS[3:]),
        "[I am {x} years old.|I'm {x} years old.]",
        "You are {x} years old? [That is a good age.|Then you know a lot already.]",
        "[How old am I?|Do you remember how old I am?]",
        "You are {x} years old. [You told me that before.|That is a good age.]",
        "You have not told me how old you are. How old are you?",
        "[Actually, I am {x} years old.|Sorry, I am {x} years old, not {old}.]",
    ),
    "friend": Fact(
        a_name,
        "[My best friend is {x}.|My best friend is called {x}.|The name of my best friend is {x}.]",
        "It is good to have a friend like {x}. [What do you like to do together?|How did you meet?]",
        "[Who is my best friend?|What is the name of my best friend?|Do you remember my best friend's name?]",
        "Your best friend is {x}. [You told me that before.|Please say hello to {x}.]",
        "You have not told me who your best friend is. What is your friend's name?",
        "[Actually, my best friend is {x}, not {old}.|Sorry, I meant that my best friend is {x}.]",
    ),
    "key": Fact(
        a_hiding_place,
        "[I hid the key {x}.|The key is {x}.|I put the key {x}.|Remember this: the key is {x}.]",
        "All right, the key is {x}. [I will remember that.|I will not tell anyone.]",
        "[Where is the key?|Where did I hide the key?|Where did I put the key?|Do you remember where the key is?]",
        "The key is {x}. [You told me that before.|I hope you find it there.]",
        "You have not told me where the key is. Where did you put it?",
        "[I moved the key. It is {x} now.|Actually, the key is {x} now.]",
    ),
    "job": Fact(
        lambda rng: rng.choice(words.JOBS),
        "[I am a(n) {x}.|I work as a(n) {x}.|I want to be a(n) {x} one day.|My dream is to be a(n) {x}.]",
        "[A(n) {x}? How interesting!|To be a(n) {x} is a fine thing.] What do you like about it?",
        "[What is my job?|What do I want to be?|Do you remember what my job is?]",
        "You told me about being a(n) {x}. [It sounds interesting.|I think it suits you.]",
        "You have not told me that yet. What would you like to be?",
        "[Actually, I want to be a(n) {x}.|I changed my mind. I want to be a(n) {x}.]",
    ),
    "hobby": Fact(
        lambda rng: rng.choice(words.HOBBIES),
        "[My hobby is {x}.|My favorite hobby is {x}.]",
        "{X} is a nice hobby! [How often do you do it?|I am sure that you are good at it.]",
        "[What is my hobby?|Do you remember my hobby?|What is my favorite hobby?]",
        "Your hobby is {x}. [You told me that before.|I hope you have time for it today.]",
        "You have not told me your hobby yet. What do you like to do?",
        "[Actually, my hobby is {x}, not {old}.|My new hobby is {x}.]",
    ),
    "belonging": Fact(
        lambda rng: rng.choice(words.COLORS),
        "[My {item} is {x}.|I have a(n) {x} {item}.|The color of my {item} is {x}.]",
        "A(n) {x} {item} sounds lovely. [I will remember that.|Is it new?]",
        "[What color is my {item}?|Do you remember the color of my {item}?]",
        "Your {item} is {x}. [You told me that before.|It must look lovely.]",
        "You have not told me the color of your {item}. What color is it?",
        "[Actually, my {item} is {x}, not {old}.|I painted my {item}. It is {x} now.]",
    ),
    "brother": Fact(
        lambda rng: rng.choice(words.BOYS),
        "[My brother's name is {x}.|I have a brother named {x}.|My brother is called {x}.]",
        "{x} is a nice name. [Is he older than you?|Do you like to play with him?]",
        "[What is my brother's name?|What is the name of my brother?|Do you remember my brother's name?]",
        "Your brother's name is {x}. [You told me that before.|Please say hello to him.]",
        "You have not told me your brother's name. What is he called?",
        "[Actually, my brother's name is {x}, not {old}.|Sorry, my brother is called {x}.]",
    ),
    "sister": Fact(
        lambda rng: rng.choice(words.GIRLS),
        "[My sister's name is {x}.|I have a sister named {x}.|My sister is called {x}.]",
        "{x} is a nice name. [Is she older than you?|Do you like to play with her?]",
        "[What is my sister's name?|What is the name of my sister?|Do you remember my sister's name?]",
        "Your sister's name is {x}. [You told me that before.|Please say hello to her.]",
        "You have not told me your sister's name. What is she called?",
        "[Actually, my sister's name is {x}, not {old}.|Sorry, my sister is called {x}.]",
    ),
    "list": Fact(
        lambda rng: listed(rng.sample(words.THINGS, rng.choice([2, 3, 3, 4]))),
        "[Remember these words: {x}.|Please remember these words: {x}.|I need to buy {x}.]",
        "I will remember: {x}. [Ask me later.|Tell me when you want to hear them again.]",
        "[What were the words?|Which words did I tell you?|What did I ask you to remember?|What do I need to buy?]",
        "You told me: {x}.",
        "You have not given me any words yet. Which words shall I remember?",
        "[Please change the words to {x}.|New words: {x}.]",
    ),
}
FREQUENT = ["name"] * 6 + ["pet", "color", "key"] * 2  # asked more often than the rest


def new_facts(rng: Random, count: int) -> list[str]:
    chosen: list[str] = []
    while len(chosen) < count:
        kind = rng.choice(FREQUENT + list(FACTS))
        if kind not in chosen:
            chosen.append(kind)
    return chosen


def recall(rng: Random, facts: int, target_chars: int) -> Turns:
    """A dialogue with so many facts and about so many characters of text. Without a target, no other talk comes between."""
    *kinds, never_told = new_facts(rng, facts + 1)
    constant = {"pet": rng.choice(words.PETS), "item": rng.choice(words.BELONGINGS)}
    values: dict[str, str] = {}

    def say(kind: str, template: str) -> str:
        return fill(template, {**constant, "x": values.get(kind, ""), "old": old.get(kind, "")}, rng)

    old: dict[str, str] = {}
    turns: Turns = []
    for kind in kinds:
        values[kind] = FACTS[kind].value(rng)
    pending = list(kinds)
    at_once = target_chars == 0 and rng.random() < 0.6
    if at_once:  # My name is Anna. What is my name?
        kind = rng.choice(pending)
        told = " ".join(say(k, FACTS[k].tell) for k in pending)
        return [(f"{told} {say(kind, FACTS[kind].ask)}", say(kind, FACTS[kind].answer))]
    while pending:
        together = pending[: rng.choice([1, 1, 1, 2])]
        pending = pending[len(together) :]
        turns.append((" ".join(say(k, FACTS[k].tell) for k in together), " ".join(say(k, FACTS[k].confirm) for k in together)))
        if target_chars and rng.random() < 0.5:
            turns += any_topic(rng)
    if rng.random() < 0.25:
        kind = rng.choice(kinds)
        old[kind] = values[kind]
        while values[kind] == old[kind]:
            values[kind] = FACTS[kind].value(rng)
        understood = "[Thank you for telling me.|All right, I will remember that.|I see.] " + FACTS[kind].answer.split(" [")[0]
        turns.append((say(kind, FACTS[kind].correct), say(kind, understood)))
    turns += filler(rng, target_chars - length(turns))
    asked = rng.sample(kinds, rng.randint(1, len(kinds)))
    if rng.random() < 0.3:
        asked.insert(rng.randint(0, len(asked)), never_told)
    for kind in asked:
        known = kind in values
        turns.append((say(kind, FACTS[kind].ask), say(kind, FACTS[kind].answer if known else FACTS[kind].unknown)))
        if target_chars and rng.random() < 0.15:
            turns += any_topic(rng)
    return turns


def filler(rng: Random, chars: int) -> Turns:
    turns: Turns = []
    while length(turns) < chars:
        turns += story(rng) if rng.random() < 0.15 else any_topic(rng)
    return turns


def length(turns: Turns) -> int:
    return sum(len(question) + len(answer) for question, answer in turns)
