"""What happens in the stories?

A story is a cast (who, with what, where) and a plot. A plot is a theme and a list of templates, one for each sentence
or two, in which the cast's words are slots. Every plot speaks of the hero, the friend, the thing and the place.
"""

from dataclasses import dataclass
from random import Random

import names
import words
from templates import fill, part, with_article

PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "himself": "herself"},
    "he": {"he": "he", "him": "him", "his": "his", "himself": "himself"},
}


MADE_UP = 0.2  # share of the characters whose name is made up


@dataclass
class Character:
    kind: str  # fox, girl
    name: str
    pronoun: str  # "she" or "he"


@dataclass
class Cast:
    hero: Character
    friend: Character
    trait: str
    look: str
    thing: str
    place: str

    def slots(self, rng: Random) -> dict[str, str]:
        friend = {f"f{key}": value for key, value in PRONOUNS[self.friend.pronoun].items()}
        return {
            **PRONOUNS[self.hero.pronoun],
            **friend,
            "kind": self.hero.kind,
            "name": f"*{self.hero.name}*",
            "fkind": self.friend.kind,
            "friend": f"*{self.friend.name}*",
            "trait": self.trait,
            "look": self.look,
            "thing": f"*{self.thing}*",
            "place": self.place,
            "near": rng.choice(words.NEAR),
            "food": rng.choice(words.FOODS),
            "dish": rng.choice(words.DISHES),
            "skill": rng.choice(words.SKILLS),
            "helper": rng.choice([kind for kind in words.ANIMALS if kind not in (self.hero.kind, self.friend.kind)]),
        }


def new_character(rng: Random, kind: str | None = None, not_named: str = "") -> Character:
    kind = kind or rng.choice(rng.choice([words.ANIMALS, words.ANIMALS, words.WOMEN[:2], words.MEN[:2], PEOPLE]))
    pronoun = "she" if kind in words.WOMEN else "he" if kind in words.MEN else rng.choice(["she", "he"])
    usual = names.PETS if kind in words.ANIMALS else names.GIRLS if pronoun == "she" else names.BOYS
    name = names.composed(rng) if rng.random() < MADE_UP else rng.choice([name for name in usual if name != not_named])
    return Character(kind, name, pronoun)


PEOPLE = words.WOMEN + words.MEN + words.ANYONE


def new_cast(rng: Random, things: list[str] = words.THINGS) -> Cast:
    hero = new_character(rng)
    friend = new_character(rng, not_named=hero.name)
    while friend.kind == hero.kind:
        friend = new_character(rng, not_named=hero.name)
    return Cast(hero, friend, rng.choice(words.TRAITS), rng.choice(words.LOOKS), rng.choice(things), rng.choice(words.PLACES))


OPENINGS = [
    "Once upon a time[,|] there was a(n) {trait} {kind} named {name}. {He} lived [near|by] {near}.",
    "Once upon a time[,|] a(n) {trait} {kind} named {name} lived [near|not far from] {near}.",
    "There once was a(n) {trait} {kind} [called|named] {name}, who lived near {near}.",
    "[Long ago|Many years ago], near {near}, there lived a(n) {trait} {kind} named {name}.",
    "{name} was a(n) {trait} {kind}. {He} lived in a [small|cozy|little|white] house near {near}.",
    "In a [small|cozy|little] house near {near} lived a(n) {trait} {kind}. {His} name was {name}.",
]

ENDINGS = [
    "From that day on, {name} and {friend} were [best friends|the best of friends].",
    "And {name} lived happily ever after.",
    "That night, {name} fell asleep with a smile.",
    "[It was the best day of the year.|It was a day that {name} never forgot.]",
    "{name} [was very happy|smiled all the way home].",
    "And whenever {name} saw the {thing}, {he} [thought of that day|remembered that day and smiled].",
]

PLOTS: dict[str, list[str]] = {
    "losing and finding": [
        "{name} had a(n) {look} {thing}, and {he} [took it everywhere|loved it very much|never went out without it].",
        "One [day|morning|afternoon], {he} went to {place} to play.",
        "But when {he} [wanted to go home|sat down to rest], the {thing} was gone!",
        "{name} looked [behind the trees and under the stones|high and low|everywhere], but {he} could not find it.",
        '[{He} began to cry.|{He} felt very sad.|"Oh no!" said {name}.]',
        'Then a(n) {fkind} named {friend} came by. "Why are you sad?" asked {friend}.',
        '"I have lost my {look} {thing}," said {name}. "[Do not worry|Do not cry]," said {friend}. "I will help you [look for it|to find it]."',
        "They walked [slowly|together] along the path, and they looked [carefully|under every bush].",
        "At last, {friend} saw something {look} [in the tall grass|under a bush|beside a big stone]. It was the {thing}!",
        '"Thank you, {friend}!" [cried|said] {name}. "[You are a true friend|I could not have done it without you]."',
    ],
    "sharing": [
        "{name} had a new {thing}. It was {look}, and {he} was very proud of it.",
        "One [sunny|warm|bright] day, {he} carried the {thing} to {place}.",
        "There {he} met a(n) {fkind} named {friend}, who was sitting all alone.",
        '"[What a nice|What a lovely] {thing}!" said {friend}. "I never had one. May I [try it|hold it] for a moment?"',
        '[At first, {name} did not want to share.|{name} held the {thing} tight.] "It is mine," {he} said.',
        "{friend} looked at the ground and [said nothing|went away slowly].",
        "[Soon|After a while], {name} noticed that playing alone was not much fun.",
        '{He} ran to {friend} and said, "I am sorry. [Let us share the {thing}|We can play with the {thing} together]."',
        "{friend} [jumped for joy|smiled from ear to ear]. They played [until the sun went down|all afternoon].",
        "{name} learned that [sharing makes every game better|a joy that is shared is twice as big].",
    ],
    "a storm": [
        "One [day|afternoon], {name} took {his} {look} {thing} and walked to {place}.",
        "[The sky was blue at first.|The sun was shining when {he} left.] But soon the sky grew dark, and the wind began to blow.",
        "[Rain fell in big drops.|Thunder rolled over the hills.] {name} was wet and cold, and {he} did not know where to go.",
        'Then {he} saw a [small|warm] light. It came from the house of a(n) {fkind} named {friend}.',
        '{name} knocked at the door. "Please, may I come in?" {he} asked.',
        '"Of course!" said {friend}. "Come in and sit by the fire."',
        "{friend} gave {him} a bowl of {dish} and a dry blanket, [for nobody should be cold|and soon {he} felt warm again].",
        "They [told stories|sang songs] until the storm was over. Then a rainbow stood in the sky.",
        "To say thank you, {name} gave {friend} the {look} {thing}.",
        '"[I will keep it for ever|What a lovely gift]," said {friend}. "Come back soon!"',
    ],
    "helping": [
        "One [day|morning], {name} was on {his} way to {place} with a(n) {look} {thing}.",
        'Suddenly {he} heard a small voice. "Help! Help!" It was a(n) {fkind} named {friend}.',
        "{friend} [was stuck in the mud|had fallen into a deep hole|was caught in a thorny bush] and could not get out.",
        "{name} [pulled and pulled|tried with all {his} strength], but it was too hard.",
        'Then {he} had an idea. "[I can use my {thing}|Take hold of my {thing}]!" {he} [said|called].',
        "{He} [held out|reached down with] the {thing}, and {friend} held on to it.",
        "One, two, three, and {friend} was free!",
        '"Thank you for helping me," said {friend}. "[You are very kind|You are a good friend]."',
        '"[You are welcome|It was nothing]," said {name}. "Friends help each other."',
        "Then they walked to {place} together, and {friend} shared {fhis} {food} with {him}.",
    ],
    "practice": [
        "{name} wanted to learn to {skill}, but it was very hard.",
        "Every morning, {he} went to {place} with {his} {look} {thing} and tried.",
        "The first time, {he} fell down. The second time, {he} fell down again.",
        '"I will never learn to {skill}," said {name}, and {he} sat down on the ground and sighed.',
        "A(n) {fkind} named {friend} was watching {him}.",
        '"When I was little, I could not do it either," said {friend}. "[Try a little every day|Do not give up], and you will see."',
        "So {name} practiced on Monday, and on Tuesday, and all week long. {friend} came every day and [cheered|clapped].",
        "At last, on Sunday, {name} could {skill}!",
        '"You did it!" [cried|shouted] {friend}. {name} was so happy that {he} threw {his} {thing} into the air.',
        "{name} had learned that [practice makes things easy|you must try again and again].",
    ],
    "a birthday": [
        "It was the birthday of {his} friend {friend}, a(n) {fkind} who lived near {place}.",
        'What could {name} give to {friend}? {He} thought and thought. "I know!" {he} said. "{friend} has always wanted a(n) {look} {thing}."',
        "So {name} [went to the market|worked all morning] and [found|made] a(n) {look} {thing}.",
        "{He} put it in a box with a [red|blue|golden] ribbon and walked to {place}.",
        "But when {he} came to the house, it was dark and quiet. Had {friend} forgotten {fhis} own birthday?",
        '{name} opened the door, and suddenly [everybody|all the friends] shouted, "Surprise!"',
        "There was a big cake, and there was {dish} for everyone.",
        'Then {friend} opened the box. "A(n) {look} {thing}!" {fhe} cried. "[It is just what I wanted|It is the best gift of all]!"',
        "They [danced|sang and danced] until the moon came up.",
    ],
    "a garden": [
        "One spring day, {name} found a tiny seed beside a(n) {look} {thing} on the way to {place}.",
        '"I will plant it," {he} said, and {he} carried the seed home together with the {thing}.',
        "{He} dug a small hole, put in the seed and gave it some water.",
        "Every day, {name} waited. [Nothing happened.|There was only brown earth.]",
        '{His} neighbor, a(n) {fkind} named {friend}, [laughed|shook {fhis} head]. "Nothing will grow there," said {friend}.',
        "But {name} was patient. {He} gave the seed water in the morning and sang to it in the evening.",
        "Then one morning there was a green leaf. The leaf became a stem, and the stem became a [tall sunflower|big tree|bush full of berries].",
        '"I was wrong," said {friend}. "[It is beautiful|It is wonderful]! Will you teach me how to grow one?"',
        "{name} gave {friend} a handful of new seeds, and soon there were flowers all the way to {place}.",
        "And the {look} {thing} stood in the middle of the garden, where everyone could see it.",
    ],
    "being afraid of the dark": [
        "{name} had one secret: {he} was afraid of the dark.",
        "Every night, {he} held {his} {look} {thing} [tight|in {his} arms] and could not sleep.",
        "One night, {he} heard a strange noise outside. [Tap, tap, tap!|Whoo, whoo!]",
        '{His} heart beat fast. But {he} took the {thing}, opened the door and asked, "Who is there?"',
        'It was a little {fkind} named {friend}. "I have lost my way," said {friend}. "It is so dark, and I am afraid."',
        '"I am afraid too," said {name}. "But together we can be brave."',
        "They walked hand in hand to {place}, where {friend} lived.",
        "On the way, they saw a thousand stars and a big round moon. The dark was [beautiful|quiet and kind].",
        'When they came to {place}, {friend} said, "Thank you. You are the bravest {kind} I know."',
        "After that night, {name} was not afraid of the dark any more.",
    ],
    "a race": [
        "One day, there was a great race from {near} to {place}. The prize was a(n) {look} {thing}.",
        "A(n) {fkind} named {friend} was very fast and very proud.",
        '"You will never win, {name}," laughed {friend}. "[I am the fastest of all|You are much too slow]."',
        '"[We will see|I will do my best]," said {name}.',
        "The race began, and {friend} ran ahead like the wind. Soon {fhe} could not see {name} behind {fhim}.",
        '"I have so much time," thought {friend}. "I can eat some {food} and take a nap." And {fhe} fell asleep under a tree.',
        "{name} did not stop. Step by step, {he} went on, past the tree and past {friend}.",
        "When {friend} woke up, everyone was cheering. {name} had come to {place} first!",
        "{name} got the {look} {thing}. [Slow and steady wins the race.|It is better to go slowly than to stop.]",
        '"Well done," said {friend}. "[I will not laugh at you again|Next time I will not sleep]."',
    ],
    "building": [
        "{name} and {his} friend {friend}, a(n) {fkind}, wanted to build [a tree house|a little boat|a small bridge] near {place}.",
        "{name} brought wood and nails, and {friend} brought a(n) {look} {thing}.",
        '"What can we do with a(n) {thing}?" asked {name}. "[Wait and see|You never know]," said {friend}.',
        "They worked all day. {name} [cut|carried] the wood, and {friend} held it.",
        "In the evening, a strong wind came and blew everything down.",
        '{name} wanted to give up, but {friend} said, "[Tomorrow is a new day|We can build it again]."',
        "The next morning, they started again. This time they worked slowly, and they made everything strong.",
        "When it was finished, they put the {look} {thing} on top, so that everyone could see it from far away.",
        "All the neighbors came to {place} to look, and they [clapped|cheered].",
        '"We did it together," said {name}, and {he} was very proud.',
    ],
    "a treasure": [
        "One [rainy|quiet|windy] day, {name} found an old map in {his} house. A red line led to {place}.",
        '"A treasure!" {he} [cried|whispered], and {he} ran to {his} friend {friend}, a clever {fkind}.',
        "Together they followed the map. They went over a hill, across a stream and through the [tall grass|thick fog].",
        "At {place} there was a big stone with a cross on it.",
        "They dug and dug until they found a wooden box. {name} opened it slowly.",
        "There was no gold inside. There was only a(n) {look} {thing} and a letter.",
        '{friend} read the letter. "The best treasure," it said, "is a friend who goes with you."',
        "{name} looked at {friend}, and {friend} looked at {name}, and they both laughed.",
        "They carried the {thing} home and [put it on the shelf|hung it over the door].",
    ],
    "being honest": [
        "One day, {name} found a(n) {look} {thing} on the road to {place}.",
        '"[How beautiful|How lovely]!" {he} said. "I would like to keep it." But then {he} thought, "Somebody has lost it."',
        "So {name} went from door to door and asked, \"Is this your {thing}?\"",
        "The {helper} said no. The old baker said no. {name} was tired, but {he} did not give up.",
        "At last, near {place}, {he} met a(n) {fkind} named {friend}, who was crying.",
        '"I have lost the {thing} that my grandmother gave me," said {friend}.',
        '{name} held it out. "Here it is," {he} said. {friend} [could not believe it|dried {fhis} tears and smiled].',
        '"You are honest," said {friend}. "Please come to my house and eat some {dish} with me."',
        "They ate and talked, and they became friends. {name} was glad that {he} had told the truth.",
    ],
    "cooking": [
        "One cold day, {name} wanted to make {dish}, but {he} had only a(n) {look} {thing} and some water.",
        '{He} went to {place} and met a(n) {fkind} named {friend}. "I have [two carrots|an onion|some flour]," said {friend}, "but I have nothing else."',
        "Then a hungry {helper} came. \"I have [a potato|some salt|some butter],\" said the {helper}.",
        '"Let us put everything together!" said {name}.',
        "They made a fire, and each of them put in what they had. {name} [stirred the pot|sang a cooking song], and soon it smelled wonderful.",
        "The {dish} was so good that [the whole village came|everybody wanted some]. There was enough for all.",
        '"How did you do it?" asked {friend}. "[Everybody gave a little|We all helped]," said {name}, "and so there was a lot."',
        "In the end, {name} gave the {look} {thing} to {friend}, to remember the day.",
    ],
    "a wish": [
        "Every night, {name} looked at the stars from {place} and made a wish.",
        '"I wish I had a(n) {look} {thing}," {he} said.',
        "One night, a little star fell from the sky. It landed [softly|gently] in the grass, right beside {him}.",
        '"I am [cold|lost]," said the star. "Please help me to get home."',
        "{name} asked {his} friend {friend}, a(n) {fkind}, to come. They climbed [the highest tree|the highest hill] near {place}.",
        "{name} stood beside {friend} and held the star up as high as {he} could.",
        "The wind took the star and carried it back to the sky. It twinkled three times to say thank you.",
        "The next morning, there was a(n) {look} {thing} in front of the door. It [shone like a star|was as bright as the sky].",
        '"Your wish came true," said {friend}. "And the star is home again," said {name}.',
    ],
    "a new friend": [
        "One day, a(n) {fkind} named {friend} moved into the house next door. {friend} was very shy.",
        "{name} wanted to say hello, but {friend} [hid behind the curtain|closed the door].",
        "So {name} had an idea. {He} put a(n) {look} {thing} in front of the door with a note. [It said|On it was written]: \"For you, from {name}.\"",
        "The next day, the {thing} was gone, and there was a plate of {food} on the step.",
        "{name} wrote, \"Thank you! Will you come to {place} with me?\"",
        "For a long time nothing happened. Then the door opened, and {friend} came out with the {thing}.",
        '"Hello," said {friend} in a very small voice. "I like your {thing}."',
        "They walked to {place} and talked about everything. {friend} was not shy any more.",
        "[Sometimes a friend only needs a little time.|A kind word can open any door.]",
    ],
    "telling the truth": [
        "{His} friend {friend}, a(n) {fkind}, had a(n) {look} {thing}. It was the finest one in the village.",
        '"You may play with it," said {friend}, "but please be careful." "I will," said {name}.',
        "{name} ran with it to {place}. But {he} ran too fast, and {he} fell, and the {thing} was damaged.",
        '{name} was [afraid|ashamed]. "I could hide it," {he} thought. "I could say that the {helper} did it."',
        "But {he} could not eat and {he} could not sleep, [because|for] {he} knew that it was wrong.",
        'In the morning, {he} went to {friend} and said, "I have damaged your {thing}. I am very sorry."',
        "{friend} was quiet for a moment. Then {fhe} smiled. \"Thank you for telling me the truth,\" {fhe} said. \"That was brave.\"",
        "They mended the {look} {thing} together with great care, and it was almost as good as new.",
        "{name} felt as light as a feather.",
    ],
    "a journey": [
        "{name} had never seen {place}, but {he} had heard many stories about it.",
        "So one morning, {he} packed some {food} and a(n) {look} {thing} and went on a long journey.",
        "On the first day, {he} walked through the fields. On the second day, {he} walked over the hills.",
        "On the third day, {he} met a(n) {fkind} named {friend}, who was going the same way.",
        '"Let us go together," said {friend}. "The road is shorter with a friend."',
        "When it was hot, they rested under a tree. When it rained, they sat under a bridge and told each other stories.",
        "At last, they came to {place}. It was even more beautiful than in the stories.",
        "{name} left the {look} {thing} there, so that [other travelers could enjoy it|a part of {him} would always stay].",
        '"Where shall we go next?" asked {friend}. "[Home|To the end of the rainbow]," said {name}, and they both laughed.',
    ],
    "music": [
        "In the evening, {name} liked to sit near {place} and make music with a(n) {look} {thing}.",
        "[Tap, tap, tap!|Ding, ding, dong!] It was a funny song, but it made everybody happy.",
        "One day, a grumpy {fkind} named {friend} came and said, \"Stop that noise! I want to sleep.\"",
        "{name} was sad and put the {thing} away. That evening, it was very quiet.",
        "But {friend} could not sleep at all. [It was too quiet.|Something was missing.]",
        '{friend} went to {name} and said, "I am sorry. I miss your song. Will you play it again?"',
        "So {name} took the {look} {thing} and played, and {friend} began to [hum|tap {fhis} feet].",
        "Soon all the neighbors were dancing at {place} under the moon.",
        "After that, {friend} was never grumpy when {name} made music.",
    ],
    "snow": [
        "One winter morning, everything was white. {name} put on a warm coat and ran outside with a(n) {look} {thing}.",
        "Near {place}, {he} met {his} friend {friend}, a(n) {fkind} who had never seen snow before.",
        '"What is it?" asked {friend}. "It is so soft and so cold!" "It is snow," said {name}. "Come, I will show you."',
        "They made snowballs, and they slid down the hill again and again.",
        "Then they built a big snowman. They gave him a carrot for a nose and put the {look} {thing} beside him.",
        '"He looks lonely," said {friend}, so they built a second one.',
        "When their feet were cold, they went home and drank hot chocolate.",
        "The next day the sun came out, and the snowmen melted. Only the {thing} was left.",
        '"Do not be sad," said {name}. "The snow will come back next year, and so will we."',
    ],
    "asking a wise owl": [
        "{name} had a(n) {look} {thing}, but {he} did not know what it was for.",
        "{He} asked the {helper}, but the {helper} did not know. {He} asked {his} friend {friend}, a(n) {fkind}, but {friend} did not know.",
        '"Let us ask the wise old owl at {place}," said {friend}. So they went there together.',
        "The owl looked at the {thing} for a long time. Then she closed her eyes and thought.",
        '"A thing is for what you do with it," said the owl at last. "What would you like to do?"',
        '"I would like to make {friend} happy," said {name}. "Then that is what it is for," said the owl.',
        "{name} gave the {look} {thing} to {friend}, and {friend} [laughed with joy|was so happy that {fhe} danced].",
        "On the way home, they used it for [a game|a hundred games], and every game was better than the one before.",
        "And the owl [smiled in her sleep|nodded in her tree].",
    ],
    "a swap": [
        "{name} had some {food} and went to the market near {place}.",
        "There {he} saw a(n) {look} {thing}. \"I would love to have it,\" {he} said, \"but I have no money.\"",
        "First, {he} met a(n) {helper} who was hungry. {name} gave away the {food}, and {he} got a warm hat for it.",
        "Then {he} met a cold shepherd. {name} gave away the hat, and {he} got a sack of wool.",
        "Then {he} met a(n) {fkind} named {friend}, who was standing behind the {look} {thing}.",
        '"I need wool to make a blanket," said {friend}. "Will you give it to me for the {thing}?"',
        '"Yes, please!" said {name}. And so both of them got what they wanted.',
        "{name} carried the {thing} home to {near} and showed it to everyone.",
        "Sometimes you need [nothing but a little luck|only patience and a kind heart].",
    ],
    "crossing the river": [
        "One day, {name} wanted to visit {place} and bring a(n) {look} {thing} to {his} friend {friend}, a(n) {fkind}.",
        "But the rain had been strong, and the river was wide and wild. The bridge was gone.",
        '"How will I get across?" asked {name}. {He} could see {friend} on the other side.',
        '"Wait!" called {friend}. "I have an idea." {friend} asked the beavers, and the beavers came at once.',
        "They cut down a tall tree, and it fell right across the water.",
        "{name} held the {thing} tight and walked over the tree, one small step after another.",
        "In the middle, the wind blew hard, but {he} did not look down.",
        'On the other side, {friend} hugged {him}. "You made it!" said {friend}.',
        "{name} gave {friend} the {look} {thing}, and they invited the beavers to eat {dish}.",
    ],
    "finding the way home": [
        "One day, {name} went so far into {place} with {his} {look} {thing} that {he} could not find the way home.",
        "The sun went down, and the trees looked like giants. {name} sat down on a stone and listened.",
        "Then something moved in the leaves. It was a little {fkind} named {friend}.",
        '"Are you lost?" asked {friend}. "Yes," said {name}. "I only know that I live near {near}."',
        '"I know that place," said {friend}. "Follow me, and stay close."',
        "They went past a sleeping {helper} and over a fallen tree. {friend} knew every path.",
        "After a long walk, {name} saw the lights of {his} home. {His} family was waiting at the door.",
        '"How can I thank you?" asked {name}. "May I have a look at your {thing}?" asked {friend}.',
        '{name} gave {friend} the {look} {thing}. "It is yours," {he} said. "Come and visit us."',
    ],
}


def introduce(cast: Cast, rng: Random) -> str:
    """What the story is about, as one asks for it: "a brave girl and a kite"."""
    hero = with_article(cast.hero.kind)
    full = with_article(f"{cast.trait} {cast.hero.kind}")
    thing = with_article(cast.thing)
    return rng.choice([
        hero, hero, full, f"{hero} and {thing}", f"{full} and {thing}", f"{full} and {with_article(f'{cast.look} {cast.thing}')}",
        f"{hero} and {with_article(cast.friend.kind)}", f"{hero} named {cast.hero.name}", f"{full} named {cast.hero.name}",
        f"{hero} who goes to {cast.place}", f"{hero} with {with_article(f'{cast.look} {cast.thing}')}",
        f"{cast.hero.name} the {cast.hero.kind}", f"{cast.hero.name} and {cast.friend.name}", with_article(f"{cast.look} {cast.thing}"),
    ])


def tell(cast: Cast, theme: str, rng: Random) -> str:
    slots = cast.slots(rng)
    parts = [rng.choice(OPENINGS), *PLOTS[theme]]
    if rng.random() < 0.6:
        parts.append(rng.choice(ENDINGS))
    if rng.random() < 0.25:
        parts.append("The end.")
    text = " ".join(fill(part, slots, rng) for part in parts)
    for value in ("name", "friend", "thing"):  # the first time, it is news
        text = text.replace(slots[value], slots[value].strip("*"), 1)
    return text


def new_plot(rng: Random, held_out: bool = False) -> tuple[Cast, str]:
    """A theme and a cast that fits it."""
    theme = rng.choice(part(list(PLOTS), held_out))
    return new_cast(rng, words.INSTRUMENTS if theme == "music" else words.THINGS), theme


def new_story(rng: Random) -> str:
    return tell(*new_plot(rng), rng)

