"""Which names are there, and which are kept for the test?

Three kinds, apart by construction:

- GIRLS and BOYS stand in the stories and, now and then, in what the user tells.
- Made-up names are put together from syllables, without end. They are most of what the model is asked to remember, so
  that it learns to carry a name over, letter by letter, and not to choose one from a list.
- HELD_OUT names are never trained on: no document and not the tokenizer's text holds one. Memory is measured on them.
"""

from random import Random

GIRLS = """Anna Emma Mia Lily Clara Nora Ella Grace Lucy Alice Ruby Eva Sarah Maria Lena Jane Kate Molly Nina Rose Amy Bella
Cora Daisy Edith Fiona Greta Helen Iris Judy Kira Laura Martha Nelly Olive Paula Rita Sophie Tina Vera Wendy Zoe Beth Carol
Dora Elsa Frieda Hanna Ida Julia Lisa Mary Nancy Penny Sally Susan""".split()

BOYS = """Tom Ben Max Leo Sam Jack Noah Finn Hugo Oscar Peter Paul Daniel Adam Luke Henry Simon Martin Bob Will Alan Bruno
Carl David Emil Frank George Harry Ivan James Karl Louis Mark Nick Otto Philip Robin Sven Theo Victor Walter Arthur Bill
Charlie Dan Edgar Fred Gus Jim Ken Larry Mike Ned Pete Ralph Steve Tim""".split()

PETS = """Rusty Pip Coco Milo Pepper Ginger Hazel Bramble Willow Clover Poppy Berry Honey Maple Pebble Sunny Shadow Star Storm
Teddy Cookie Lucky Snowy Socks Biscuit Bubbles Button Fluffy Patch Spot Tiger Whiskers Mittens Oreo Nugget""".split()

TOWNS = """Brookfield Riverton Hillside Oakwood Maplewood Lakeview Greenville Fairview Springdale Ashford Milltown Eastport
Westbury Northfield Southgate Paris London Berlin Rome Madrid Oslo Vienna Boston Chicago Dublin Lisbon Prague Tokyo Sydney
Toronto Redhill Stonebridge Applewood Birchwood Foxton Goldport Highgate Kingsford Longfield Meadowbrook Newport Pinewood
Sandford Silverlake Thornton Winterton""".split()

# No name below is in a list above, and made_up() never returns one.
HELD_OUT = """Abigail Agnes Albert Aldo Alma Amelia Amos Andre Angela Anita Antonia Arlene Aron Astrid Audrey Barbara Barry Basil
Beatrice Bernard Bertha Blanche Boris Brenda Brian Bridget Calvin Camilla Carmen Caspar Cecilia Celia Cedric Chester Chloe
Clement Colin Conrad Cyril Damian Darren Deborah Della Denis Diana Dominic Donald Dorian Doris Douglas Duncan Edwin Eileen
Elena Elias Elliot Elmer Elvira Enid Erica Ernest Esther Ethan Eunice Fabian Felix Fergus Flora Floyd Gareth Gavin Gemma
Gerald Gilbert Gina Gloria Gordon Graham Gregor Gwen Hamish Harold Harriet Hector Heidi Herman Hilda Homer Horace Howard
Igor Ingrid Irma Isaac Isabel Ivy Jacob Janet Jasper Jerome Jessica Joan Joel Jonas Joyce Judith Julian Justin Karen Keith
Kenneth Kevin Lambert Lars Leah Leonard Leroy Lewis Linda Lionel Lloyd Lorna Lucas Luther Lydia Mabel Magnus Malcolm Marcus
Margot Marion Marvin Matilda Maude Melvin Meredith Miles Mildred Mona Monica Morris Muriel Myra Nadia Naomi Natalie Neil Nigel
Nolan Norma Norman Odette Olga Oliver Omar Orson Oswald Owen Pamela Patrick Peggy Percy Perry Petra Phoebe Quentin Rachel
Ramona Randall Rebecca Regina Rex Rhoda Richard Roger Roland Ronald Rosalind Roy Rupert Russell Sabina Sandra Selma Seth
Sheila Sidney Silas Sonia Stanley Stella Sybil Tamara Teresa Thelma Tobias Trevor Ursula Valerie Vanessa Vernon Viola Virgil
Wallace Wanda Warren Wilbur Wilma Winifred Yolanda Yvonne Zelda""".split()

# A made-up name has a beginning and an end from these, or now and then a syllable more. So few parts, so that the
# tokenizer has a piece for each of them and the model sees each of them often.
STARTS = [onset + vowel for onset in " B C D F G H J K L M N P R S T V W Z Br Ch Cl Dr Fr Gr Pr Sh St Tr".split(" ") for vowel in "aeiou"]
CLOSINGS = [closing + ending for closing in "n l r s m d t v k b g p ll nn rr nd rt st th x".split()
            for ending in "a y o ie en in on er is us ard ert ick".split()]
CLOSINGS += "n l r s m d t x th nd rd rt lf ck na la ra nce ton win ley son land mund fred bert rick".split()
SYLLABLES = [consonant + vowel for consonant in "b d f g k l m n p r s t v".split() for vowel in "aeiou"]


def made_up(rng: Random) -> str:
    """A name that nobody has, such as Brenin, Tomard or Lavi."""
    while True:
        more = rng.choice(SYLLABLES) if rng.random() < LONGER else ""
        name = (rng.choice(STARTS) + more + rng.choice(CLOSINGS)).capitalize()
        if name not in HELD_OUT_SET:
            return name


LONGER = 0.15  # share of the names with a syllable more
HELD_OUT_SET = set(HELD_OUT)
