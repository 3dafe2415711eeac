"""Which names are there, and which are kept for the test?

- GIRLS, BOYS and PETS are usual names, one token each. They stand in the stories and in some of what the user tells.
- Composed names have a beginning and an end from two closed lists, one token each (tokenizer.py sees to that): Mira,
  Toren, Calda. They are most of what the model is asked to remember: two latches hold one.
- HELD_OUT are composed names that no document holds, and neither does the tokenizer's text. Memory is measured on them:
  the model knows both parts, but has never seen them together.
"""

from random import Random

GIRLS = """Anna Emma Mia Lily Clara Ella Grace Lucy Alice Ruby Eva Sarah Maria Jane Kate Molly Rose Amy Daisy Edith Fiona
Greta Helen Iris Judy Laura Martha Olive Paula Rita Sophie Vera Wendy Zoe Beth Carol Ida Julia Lisa Mary""".split()

BOYS = """Tom Ben Max Leo Sam Jack Noah Finn Hugo Oscar Peter Paul Daniel Adam Luke Henry Simon Martin Bob Will Alan Bruno
Carl David Emil Frank George Harry Ivan James John Louis Mark Nick Otto Philip Robin Theo Victor Walter""".split()

PETS = """Rusty Pip Coco Ginger Hazel Bramble Willow Clover Poppy Berry Honey Maple Pebble Sunny Shadow Star Storm Cookie
Lucky Snowy Socks Biscuit Bubbles Button Fluffy Patch Spot Tiger Whiskers Mittens""".split()

TOWNS = """Brookfield Riverton Hillside Oakwood Lakeview Greenville Ashford Milltown Eastport Westbury Southgate Paris London
Berlin Rome Madrid Oslo Vienna Boston Chicago Dublin Lisbon Prague Tokyo Sydney Toronto Stonebridge Foxton Goldport Highgate
Longfield Newport""".split()

STARTS = """Ba Be Bo Da De Do Fa Fe Ga Ha Jo Ka Ko La Le Lo Lu Ma Me Mi Mo Na Ne No Pe Ra Ri Ro Sa Se So Ta Te To Va Vi Wa
Ze Zo Bel Cal Cor Dal Fal Gar Hal Jas Kel Mar Mel Nor Per Sel Tam Tor Val Wil Zan""".split()
ENDS = """ra na la ta da sa ka ma va ro no lo to do so ko bo mo ri ni li ti di si mi vi bin ren len ton den vin lin win rick
bert mund fred ward land""".split()


USUAL = set(GIRLS + BOYS + PETS + TOWNS)
UNFIT = set("Pedo Kaka Sado Saka Dada Mama Papa Nana".split())  # words that are no names
COMPOSED = [start + end for start in STARTS for end in ENDS if start + end not in USUAL and start + end not in UNFIT]
HELD_OUT = sorted(Random(5).sample(COMPOSED, len(COMPOSED) // 7))
HELD_OUT_SET = set(HELD_OUT)
TRAINED = [name for name in COMPOSED if name not in HELD_OUT_SET]


def composed(rng: Random) -> str:
    """A composed name that is not held out."""
    return rng.choice(TRAINED)


# Pets have names with other beginnings than people have.
PET_STARTS = [start for at, start in enumerate(STARTS) if at % 6 in (1, 2)]


def is_pets(name: str) -> bool:
    return any(name == start + end for start in PET_STARTS for end in ENDS)


PEOPLE = {held_out: [name for name in COMPOSED if not is_pets(name) and (name in HELD_OUT_SET) == held_out] for held_out in (False, True)}
OF_PETS = {held_out: [name for name in COMPOSED if is_pets(name) and (name in HELD_OUT_SET) == held_out] for held_out in (False, True)}
