"""Which kinds of fact can the user tell, and in which words?

Each kind is told in a dozen forms or more and asked in as many, so that a form never seen is close to one that was. The
forms for the test are in no training document. {x} is the value, {s} what it is about ("my cat"), {np} what is asked
for ("the name of my cat"), {ynp} the same said back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import names
import words

USUAL_NAMES = 0.2  # share of the names that are not composed


@dataclass(frozen=True)
class Fact:
    np: str
    value: Callable[[Random, bool, float], str]  # held out or not; the share of the names that sound like the kind
    tell: list[str]
    tell_held_out: list[str]
    answer: str
    confirm: list[str]
    ask: list[str]
    ask_held_out: list[str]
    subject: str = ""
    slots: dict[str, str] = field(default_factory=dict)


def forms(text: str) -> list[str]:
    return [" ".join(form.split()) for form in text.split("|")]


def name_of(usual: list[str], typical: dict[bool, list[str]], other: dict[bool, list[str]]) -> Callable[[Random, bool, float], str]:
    def value(rng: Random, held_out: bool, share: float) -> str:
        if not held_out and rng.random() < USUAL_NAMES:
            return rng.choice(usual)
        return rng.choice((typical if rng.random() < share else other)[held_out])

    return value


def one_of(values: list[str]) -> Callable[[Random, bool, float], str]:
    return lambda rng, held_out, typical: rng.choice(values)


NAMES = ["name", "cat", "dog"]  # kinds whose values are of two parts

NAMED = """{s} is called {x}.|{s}'s name is {x}.|the name of {s} is {x}.|{x} is {s}.|{x} is the name of {s}.|{x} is {s}'s name.|
I have a {k} called {x}.|I have a {k} named {x}.|I have a {k}. {Its} name is {x}.|I have a {k}, and {its} name is {x}.|
I have a {k}, {x}.|{s}, {x}, is very nice.|{s} {x} is {age} years old.|this is {s}. {Its} name is {x}.|we call {s} {x}.|
do you know {s}? {Its} name is {x}.|{s} has the name {x}.|{s} is named {x}.|I call {s} {x}.|at home there is {s} {x}.|
I love {s}. {It} is called {x}.|I live with {s}, {x}.|I named {s} {x}.|we gave {s} the name {x}.|I got a {k}, and I named it {x}.|we named {s} {x}.|people call {s} {x}.|they call {s} {x}.|everyone in my family calls {s} {x}.|
the name for {s} is {x}.|{s} was given the name {x}.|{s} answers to {x}.|you should meet {s}, {x}.|let me tell you about {s}. {It} is called {x}.|
there is {s}. {Its} name is {x}.|here comes {s}, {x}.|then there is {s}, called {x}.|my family has a {k}, {x}.|meet {s}: {x}.|
{s}? {Its} name is {x}.|{x} is what we call {s}.|{x} is what {s} is called.|say hello to {s}, {x}.|a {k} lives with me. {Its} name is {x}.|
I think about {s}. {Its} name is {x}.|{s} has a nice name: {x}.|{s}, whose name is {x}, is here.|{s}, who is called {x}, is with me.|
the one I call {s} is {x}.|now you know {s}: it is {x}.|the name we use for {s} is {x}."""
NAMED_HELD_OUT = """everybody calls {s} {x}.|there is also {s}, {x}.|{s} goes by the name of {x}.|the name that {s} has is {x}.|
I must tell you about {s}. {Its} name is {x}."""
# The reply says the fact again in the words of the answer: what was told in any of many forms is then there in one, with
# the kind so close before both parts of the name that one convolution sees them together.
NAMED_CONFIRM = """So your {k} is {x}.|Your {k} is {x}. What a nice name!|I see, your {k} is {x}.|
Your {k} is {x}. I like that name.|Good, your {k} is {x}.|Your {k} is {x}. That is a good name for a {k}.|
Your {k} is {x}. Please say hello to {x}.|I will remember that your {k} is {x}."""


def pet(kind: str, it: str, its: str) -> Fact:
    return Fact(
        np="[{s}'s name|the name of {s}]",
        value=name_of(names.PETS, names.OF_PETS, names.PEOPLE),
        tell=forms(NAMED),
        tell_held_out=forms(NAMED_HELD_OUT),
        answer=f"Your {kind} is {{x}}.",
        confirm=forms(NAMED_CONFIRM.replace("{k}", kind)),
        ask=forms("what is {s} called?|how is {s} called?|what do I call {s}?|what did I name {s}?|which name does {s} have?|what name has {s}?|what is {s}'s name?|which name did we choose for {s}?|what is it that I call {s}?|what do people call {s}?|to what name does {s} answer?|which name has {s}?|what was {s} called again?|how did we name {s}?|which name belongs to {s}?|what did we call {s}?|under what name do I know {s}?"),
        ask_held_out=forms("what name did I give {s}?|how do I call {s}?"),
        subject=f"my {kind}",
        slots={"k": kind, "it": it, "its": its, "age": "[two|three|four|five|six]"},
    )


FACTS: dict[str, Fact] = {
    "name": Fact(
        "my name",
        name_of(names.GIRLS + names.BOYS, names.PEOPLE, names.OF_PETS),
        forms("""my name is {x}.|I am {x}.|I'm {x}.|my name's {x}.|you can call me {x}.|call me {x}.|please call me {x}.|they call me {x}.|I am called {x}.|
        my friends call me {x}.|my first name is {x}.|it's me, {x}.|{x} is my name.|I am {x}, nice to meet you.|everyone calls me {x}.|my mother calls me {x}.|
        at school they call me {x}.|I would like to be called {x}.|the name my parents chose for me is {x}.|may I introduce myself? I am {x}.|you are talking to {x}.|
        they named me {x} when I was born.|I answer to {x}.|everyone knows me as {x}.|some people call me {x}.|I have the name {x}.|my name, by the way, is {x}.|I was given the name {x}.|
        it is {x} who is talking to you.|in my family I am called {x}.|{x} is what they call me.|{x} is what I am called.|the people here call me {x}.|my own name is {x}.|
        the name is {x}.|I was named {x}.|just call me {x}.|here is {x}.|this is {x}.|you may call me {x}.|my parents named me {x}.|people call me {x}."""),
        forms("everybody calls me {x}.|I go by the name of {x}.|my parents gave me the name {x}.|let me introduce myself: I am {x}.|the name I have is {x}."),
        "Your name is {x}.",
        forms("Your name is {x}. Nice to meet you, {x}!|Hello, {x}! Your name is {x}, and I like it.|So your name is {x}.|Your name is {x}. Welcome, {x}!|Your name is {x}. I like that name.|I will remember that your name is {x}.|I am glad to meet you. Your name is {x}."),
        forms("what is my name?|what's my name?|who am I?|what am I called?|do you know who I am?|how am I called?|say my name.|what do they call me?|who is talking to you?|who do you speak with?|to whom are you speaking?|who is the person you talk to?|which name is mine?|how do people call me?|what should you call me?|what do my friends call me?|how did I introduce myself?|under which name do you know me?|please use my name.|who is writing to you?|which name did I tell you?|who is here with you?|say who I am.|tell me who I am.|do you know what I am called?|what is it that people call me?|how do you call me?|can you say my name?|what does everybody call me?"),
        forms("what name do I have?|with whom are you talking?|can you call me by my name?"),
    ),
    "cat": pet("cat", "she", "her"),
    "dog": pet("dog", "he", "his"),
    "town": Fact(
        "[the name of my town|the town I live in|my town]",
        one_of(names.TOWNS),
        forms("""I live in {x}.|my home is in {x}.|I come from {x}.|my town is called {x}.|I live in a town called {x}.|my house is in {x}.|I am from {x}.|
        we live in {x}.|my town is {x}.|the town I live in is {x}.|{x} is my town.|{x} is where I live.|I moved to {x}.|my family lives in {x}.|home for me is {x}.|
        I have a house in {x}.|I live near the river in {x}.|we have a house in {x}.|I stay in {x}.|my place is in {x}.|I was born in {x}, and I still live there.|{x} is my home.|
        the town where my house is is {x}.|you can visit me in {x}.|come and see me in {x}.|I go to school in {x}, where I live.|it is in {x} that I live.|
        my street is in {x}.|I have always lived in {x}.|you find me in {x}.|every evening I go home to {x}.|I live with my family in {x}.|{x} is the place where I live.|our house stands in {x}.|I grew up in {x}, where I live."""),
        forms("my family has a house in {x}.|{x} is the town where I live.|I am at home in {x}.|the place where I live is {x}."),
        "You live in {x}.",
        forms("So you live in {x}.|You live in {x}. I have never been there.|I see, you live in {x}.|You live in {x}. Is it nice in {x}?|I will remember that you live in {x}."),
        forms("where do I live?|which town do I live in?|where is my home?|where is my house?|where am I from?|in which town do I live?|where do I come from?|what is the name of my town?|where do I stay?|where can you visit me?|where does my family live?|where is the house I live in?|to which town do I go home?|in what place do I live?|where would you find me?|which place is my home?|what is my home town?|where did I say I live?|do you know where I live?|do you remember where I live?|tell me where I live.|which town is mine?|what is the town of my family?"),
        forms("in what town is my home?|where am I at home?|what town am I from?"),
    ),
    "color": Fact(
        "my favorite color",
        one_of(words.COLORS),
        forms("""my favorite color is {x}.|I like {x} best of all colors.|the color I like best is {x}.|{x} is my favorite color.|I love the color {x}.|
        my best color is {x}.|of all colors I like {x}.|{x} is the color I like best.|I like the color {x} most.|the best color is {x}.|I think {x} is the nicest color.|
        as for colors, I like {x}.|for me, the nicest color is {x}.|the color {x} is my favorite.|there is no better color than {x}.|{x} makes me happy, it is my favorite color.|if I choose a color, it is {x}.|
        I always choose {x}.|my things are all {x}, my favorite color.|the color for me is {x}.|I like {x} more than any other color.|
        {x} is the best color for me.|my room is {x}, my favorite color.|everything I have is {x}, I love that color.|give me {x}, it is my favorite color.|I paint everything in {x}, my favorite color.|the most beautiful color is {x}.|my favorite among the colors is {x}.|the color that makes me happy is {x}."""),
        forms("of all the colors, {x} is the one I love.|I think {x} is the best color.|no color is as nice as {x}.|the color I love most is {x}."),
        "Your favorite color is {x}.",
        forms("So your favorite color is {x}.|Your favorite color is {x}. I like {x} too.|I see, your favorite color is {x}.|Your favorite color is {x}. That is a beautiful color!"),
        forms("which color do I like best?|what color do I like best?|what color do I love?|which color is my favorite?|what color is my favorite?|which color do I like?|what color do I like most?|which color makes me happy?|what color would I choose?|which color is the best for me?|what color do I always choose?|which of the colors is my favorite?|if I choose a color, which one is it?|do you know which color I like?|tell me which color I like best.|what color did I say I like?|which color do I like more than any other?|in which color should you paint my room?|what is the nicest color for me?|what is the color for me?"),
        forms("what color do I love most?|which is the color I like best?|what is the color I like?"),
    ),
    "food": Fact(
        "my favorite food",
        one_of(words.FACT_FOODS),
        forms("""my favorite food is {x}.|I like to eat {x} best.|the food I like best is {x}.|{x} is my favorite food.|I love to eat {x}.|I eat {x} every day.|
        my best food is {x}.|I like {x} best of all foods.|of all foods I like {x}.|the best food is {x}.|I could eat {x} all day.|most of all I eat {x}.|
        {x} is the food I like best.|for me, the best food is {x}.|the food I love is {x}.|there is no better food than {x}.|I like {x} more than any other food.|if I choose a food, it is {x}.|
        I am always happy when I eat {x}, my favorite food.|what I like to eat is {x}.|what I love to eat is {x}.|I never get tired of {x}, my favorite food.|
        give me {x}, it is my favorite food.|on my birthday I get {x}, my favorite food.|when I am hungry I want {x}.|{x} tastes best to me.|the food that makes me happy is {x}.|I ask for {x} every day, my favorite food.|nobody likes {x} as much as I do.|I enjoy {x} most of all foods."""),
        forms("nothing tastes as good as {x}, my favorite food.|of all the food, {x} is what I love to eat.|the food I love most is {x}.|I think {x} is the best food."),
        "Your favorite food is {x}.",
        forms("So your favorite food is {x}.|Your favorite food is {x}. I have never eaten {x}.|I see, your favorite food is {x}.|Your favorite food is {x}. Many people like {x}."),
        forms("which food do I like best?|what do I like to eat best?|what food do I love?|what do I like to eat?|what do I love to eat?|which food is my favorite?|what food do I like most?|what food would I choose?|what would I like to eat?|what do I eat most of all?|what should you cook for me?|which food makes me happy?|which food is the best for me?|what do I like to have for dinner?|what tastes best to me?|which of all foods is my favorite?|do you know what I like to eat?|tell me what I like to eat.|what food did I say I like?|what could I eat every day?|what can I eat all day?|what do I always want to eat?|what do I enjoy eating?"),
        forms("what food do I love most?|which is the food I like best?|what do I eat with joy?"),
    ),
    "age": Fact(
        "my age",
        one_of(words.AGES),
        forms("""I am {x} years old.|I'm {x} years old.|my age is {x}.|I am {x} now.|I am {x}.|I turned {x} today.|I became {x} this year.|I am already {x} years old.|
        I just turned {x}.|this year I am {x}.|I am only {x} years old.|{x} is my age.|I will soon be {x} years old.|today I am {x} years old.|I have been {x} years old since May.|I am now {x} years old.|my years are {x}.|I am {x} years of age.|
        it is my birthday, and I am {x} now.|you talk to someone who is {x} years old.|this week I became {x} years old.|I celebrated my birthday and am {x}.|
        {x} years ago I was born.|it is {x} years since I was born.|they put {x} candles on my cake.|I have lived for {x} years.|my birthday made me {x} years old.|I am of age {x}.|{x} years old, that is me."""),
        forms("last week I turned {x}.|at the moment I am {x} years old.|since my birthday I am {x} years old.|the age I have is {x}."),
        "You are {x} years old.",
        forms("So you are {x} years old.|You are {x} years old. That is a good age.|I see, you are {x} years old."),
        forms("how old am I?|do you know how old I am?|what age am I?|how many years old am I?|what is my age?|tell me how old I am.|do you remember how old I am?|how old did I say I am?|do you know my age in years?|which age am I?|how long ago was I born?|say how old I am.|how old have I become?|what number of years am I?|how old is the person you talk to?|how many years have I lived?|did I tell you how old I am?|since my last birthday, how old am I?|how many candles are on my birthday cake?|of what age am I?"),
        forms("what age do I have?|can you say how old I am?|how many years am I old?"),
    ),
    "number": Fact(
        "my lucky number",
        one_of(words.NUMBERS),
        forms("""my lucky number is {x}.|{x} is my lucky number.|I have a lucky number, and it is {x}.|the number {x} brings me luck.|the lucky number I have is {x}.|
        my number is {x}.|my favorite number is {x}.|I like the number {x} best.|the number I like is {x}.|my lucky number has always been {x}.|
        of all numbers I like {x}.|the best number is {x}.|{x} is my favorite number.|if I choose a number, it is {x}.|I always choose the number {x}.|there is no better number than {x}.|
        my number of luck is {x}.|I believe in my lucky number, {x}.|I am lucky with the number {x}.|I like {x} more than any other number.|
        the number {x} has always brought me luck.|when I play, I take the number {x}.|my luck is in the number {x}.|the number for me is {x}.|{x} is the number I like.|I trust in the number {x}.|good things happen to me with the number {x}.|my friends know that my lucky number is {x}.|the number I choose is always {x}.|{x} means luck for me."""),
        forms("the number that brings me luck is {x}.|as a lucky number, I chose {x}.|of all the numbers, {x} is the one I love.|I think {x} is a lucky number for me."),
        "Your lucky number is {x}.",
        forms("So your lucky number is {x}.|Your lucky number is {x}. I like {x} too.|I see, your lucky number is {x}."),
        forms("which number is my lucky number?|what number brings me luck?|which number do I like best?|which number brings me luck?|what number do I like?|what is my favorite number?|which number is lucky for me?|what is the number that I like?|what number would I choose?|which number do I always choose?|what number did I say brings me luck?|which number means luck for me?|with which number am I lucky?|do you know which number brings me luck?|tell me which number I like.|what is the best number for me?|which of all numbers is my favorite?|which number is the one I like most?|what number makes me lucky?|which number belongs to me?"),
        forms("which is the number I like best?|what number is the lucky one for me?"),
    ),
    "key": Fact(
        "[the place of the key|the place where the key is|where the key is]",
        one_of(words.HIDING_PLACES),
        forms("""I hid the key {x}.|the key is {x}.|I put the key {x}.|the key lies {x}.|my key is {x}.|the key is hidden {x}.|I left the key {x}.|we hid the key {x}.|
        I keep the key {x}.|I put my key {x}.|my key lies {x}.|you will find the key {x}.|I dropped the key {x}.|look for the key {x}.|the key of my house is {x}.|somebody put the key {x}.|you find the key {x}.|the key was left {x}.|the key has its place {x}.|
        if you need the key, look {x}.|we always keep the key {x}.|I saw the key {x}.|I just put the key {x}.|the key can be found {x}."""),
        forms("you can find the key {x}.|I have hidden the key {x}.|the place of the key is {x}.|somebody left the key {x}."),
        "The key is {x}.",
        forms("All right, the key is {x}.|So the key is {x}.|The key is {x}. I will remember that.|Good, the key is {x}."),
        forms("where is the key?|where did I hide the key?|where did I put the key?|where is my key?|where can I find the key?|where do I find the key?|where did I leave the key?|where did I say the key is?|in which place is the key?|where is the key now?|do you know where the key is?|tell me where the key is.|where is the key hidden?|where does the key lie?|where did I lay the key?|where have I put the key?|where was the key?|in what place did I hide the key?|where must I look to find the key?"),
        forms("at which place is the key?|where should I look for the key?|where have I hidden the key?"),
    ),
}

ASK = forms("""what is {np}?|what's {np}?|do you remember {np}?|do you know {np}?|can you tell me {np}?|tell me {np}.|please tell me {np}.|do you still remember {np}?|
I forgot {np}. Can you help me?|did I tell you {np}?|say {np}, please.|I would like to know {np}.|could you remind me of {np}?|have I told you {np}?|let me hear {np}.|
what was {np}?|what was {np} again?|can you remember {np}?|would you tell me {np}?|now tell me {np}.|please say {np}.|are you able to tell me {np}?|I want to hear {np}.|
you know {np}, right?|and {np}?|I ask you: what is {np}?|do you have {np} in your memory?|let us see if you remember {np}.|do you by chance know {np}?|
please remind me of {np}.|have you forgotten {np}?|I need {np}.|show me that you remember {np}.|quick question: what is {np}?|is {np} known to you?|you surely remember {np}.|
I am thinking of {np}. What is it?|what did I say about {np}?|I told you {np}. What was it?|can I ask you for {np}?|did you keep {np}?|I am asking for {np}.|do you think you know {np}?|
would you know {np}?|and what is {np}?|let me test you: what is {np}?|do you know {np} by now?|I want to know {np}.""")
ASK_HELD_OUT = forms("could you tell me {np}, please?|have you kept {np} in mind?|I want to know if you remember {np}.|now I ask you for {np}.|can you still say {np}?|let me see if you know {np}.")
ASK_WHO = forms("what is {s} called?|what's {s} called?|do you know what {s} is called?|do you remember what {s} is called?|tell me what {s} is called.|how is {s} called?|who is {s}?|I forgot what {s} is called.|can you tell me what {s} is called?|do you recall what {s} is called?|I wonder what {s} is called.|say what {s} is called.|what name does {s} have?|what name did we give {s}?|do you know how {s} is called?|what is {s} named?|let me hear what {s} is called.|by what name do I call {s}?|I told you what {s} is called. What was it?")
ASK_WHO_HELD_OUT = forms("could you say what {s} is called?|do you still know what {s} is called?|please remind me what {s} is called.")

OWNERS = "[my neighbor|my uncle|my aunt|my teacher|the baker|my grandmother|my grandfather|the farmer|my cousin]"
RELATIVES = "[my brother|my sister|my best friend|my cousin|my mother|my father]"
OTHERS: dict[str, list[str]] = {
    "cat": [OWNERS + "'s cat is called {x}.", OWNERS + " has a cat named {x}.", "The cat of " + OWNERS + " is called {x}."],
    "dog": [OWNERS + "'s dog is called {x}.", OWNERS + " has a dog named {x}.", "The dog of " + OWNERS + " is called {x}."],
    "name": [RELATIVES + " is called {x}.", RELATIVES + "'s name is {x}.", "The name of " + RELATIVES + " is {x}.", OWNERS + " is called {x}.", "I met {x} today."],
    "color": ["The favorite color of " + OWNERS + " is {x}.", OWNERS + " likes the color {x}."],
    "food": ["The favorite food of " + OWNERS + " is {x}.", OWNERS + " likes to eat {x}."],
    "town": [OWNERS + " lives in {x}.", RELATIVES + " comes from {x}."],
    "age": [OWNERS + " is {x} years old.", RELATIVES + " is {x} years old."],
}
OTHERS_HELD_OUT: dict[str, list[str]] = {
    "cat": ["[The postman|The tailor|My doctor]'s cat is called {x}.", "[The sailor|The cook|My boss] has a cat, {x}."],
    "dog": ["[The postman|The tailor|My doctor]'s dog is called {x}.", "[The sailor|The cook|My boss] has a dog, {x}."],
    "name": ["The name of [the postman|the tailor|my doctor] is {x}.", "[The sailor|The cook|My boss] is called {x}."],
    "color": ["[The sailor|The cook|My boss] loves the color {x}."],
    "town": ["[The sailor|The cook|My boss] has a house in {x}."],
}
