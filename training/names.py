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

# People and pets have composed names of different parts: what sounds like a pet's name is one.
STARTS = {
    "people": """Ba Da De Do Fa Ga Ha Jo La Le Lo Lu Mi Mo Na Ne Pe Ra Ro Sa Se Te To Va Wa Ze Bel Cal Cor Gar Hal Jas Kel Nor Per Sel
    Val Wil""".split(),
    "pets": "Be Bo Fe Ka Ko Ma Me No Ri So Ta Vi Zo Dal Fal Mar Mel Tam Tor Zan".split(),
}
ENDS = {
    "people": "ra na la ta da sa ka ma va bin ren len ton den vin lin win rick bert mund fred ward land".split(),
    "pets": "ro no lo to do so ko bo mo ri ni li ti di si mi vi".split(),
}
USUAL = set(GIRLS + BOYS + PETS + TOWNS)
UNFIT = set("Pedo Kaka Sado Saka Dada Mama Papa Nana".split())  # words that are no names
COMPOSED = {
    kind: [start + end for start in STARTS[kind] for end in ENDS[kind] if start + end not in USUAL | UNFIT] for kind in STARTS
}
ALL_COMPOSED = COMPOSED["people"] + COMPOSED["pets"]
HELD_OUT = sorted(Random(5).sample(ALL_COMPOSED, len(ALL_COMPOSED) // 5))
HELD_OUT_SET = set(HELD_OUT)
TRAINED = [name for name in ALL_COMPOSED if name not in HELD_OUT_SET]


def composed(rng: Random) -> str:
    """A composed name that is not held out."""
    return rng.choice(TRAINED)


def by_use(kind: str) -> dict[bool, list[str]]:
    """The names for the test (True) and for training (False)."""
    return {held_out: [name for name in COMPOSED[kind] if (name in HELD_OUT_SET) == held_out] for held_out in (False, True)}


PEOPLE, OF_PETS = by_use("people"), by_use("pets")
