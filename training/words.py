"""Which words may the grammar use?"""

GIRLS = """Anna Emma Mia Lily Clara Nora Ella Grace Lucy Alice Ruby Eva Sarah Maria Lena Jane Kate Molly Nina Rose""".split()

BOYS = """Tom Ben Max Leo Sam Jack Noah Finn Hugo Oscar Peter Paul Daniel Adam Luke Henry Simon Martin Bob Will""".split()

ANIMAL_NAMES = """Rusty Pip Coco Milo Pepper Ginger Hazel Bramble Willow Clover Poppy Berry Honey Maple Pebble Sunny Shadow
Star Storm Teddy Cookie Lucky Snowy Socks""".split()

SYLLABLES = "ba be bo da de do fa ga ka ki ko la le li lo ma me mi mo na ne ni no pa ra re ri ro sa ta te ti to va vi za zo".split()

ANIMALS = """fox rabbit bear mouse owl frog hedgehog squirrel turtle duck goose cat dog kitten puppy lion tiger elephant
monkey giraffe penguin whale crab deer wolf badger beaver otter pig sheep goat horse donkey cow hen crow parrot snail bee
butterfly dinosaur dragon unicorn griffin""".split()

WOMEN = "girl princess queen fairy witch grandmother".split()
MEN = "boy prince king wizard fisherman knight grandfather".split()
ANYONE = """farmer baker shepherd gardener sailor painter teacher doctor carpenter pirate tailor cook robot giant
clown""".split()

TRAITS = """brave kind clever curious shy happy cheerful gentle quiet funny proud lonely hungry sleepy playful patient
polite careful busy friendly honest grumpy lazy silly stubborn small young wise""".split()

COLORS = "red blue green yellow orange purple pink white black brown gray golden silver".split()

LOOKS = COLORS + "shiny old new tiny big wooden little beautiful magic".split()

THINGS = """kite ball hat scarf basket drum lantern book boat bell blanket cup spoon bucket ribbon umbrella whistle
feather shell stone button coin map mirror box bag coat ring crown doll pillow candle pencil picture clock flute guitar
horn pot rope lamp flag balloon""".split()

INSTRUMENTS = "drum bell whistle flute guitar horn spoon cup pot".split()

PLACES = [f"the {place}" for place in """forest beach river lake meadow garden park market village hill mountain valley
harbor castle farm orchard library school island cave pond old_mill bakery bridge field barn tower waterfall""".split()]
PLACES = [place.replace("_", " ") for place in PLACES]

NEAR = """the river|the forest|the sea|a quiet lake|the old mill|a green hill|the castle|the market|a wide meadow|the
mountains|a tall tree|the harbor|the edge of the village|a small bridge|an apple orchard|the lighthouse"""
NEAR = [" ".join(near.split()) for near in NEAR.split("|")]

FOODS = """soup bread pancakes pizza noodles rice salad cheese honey porridge cookies cake pie strawberries apples
bananas cherries carrots potatoes popcorn chocolate toast jam muffins pasta nuts oranges pears waffles tomatoes""".split()

DISHES = ["vegetable soup", "apple pie", "honey cake", "pumpkin soup", "cherry pie", "nut bread", "carrot soup",
          "berry jam", "banana bread", "potato stew", "chocolate cake", "mushroom soup", "corn bread", "plum pie"]

SKILLS = ["swim", "whistle", "climb trees", "ride a bicycle", "read", "skate", "dance", "juggle", "row a boat", "sing",
          "paint", "bake bread", "play the flute", "tie a knot", "write letters", "jump over the stream"]

HOBBIES = ["swimming", "reading", "painting", "dancing", "singing", "cooking", "running", "drawing", "skating",
           "gardening", "fishing", "hiking", "chess", "football", "tennis", "music", "building models", "baking"]

PETS = "cat dog rabbit hamster parrot turtle goldfish pony mouse lizard kitten puppy frog snail".split()

TOWNS = """Brookfield Riverton Hillside Oakwood Maplewood Lakeview Greenville Fairview Springdale Ashford Milltown
Eastport Westbury Northfield Southgate Paris London Berlin Rome Madrid Oslo Vienna Boston Chicago Dublin Lisbon Prague
Tokyo Sydney Toronto""".split()

HIDING_PLACES = ["under the {color} pot", "behind the {color} clock", "in the {color} box", "under the old stone",
                 "in the teapot", "behind the bookshelf", "under the bed", "on top of the cupboard", "in the {color} shoe",
                 "under the doormat", "inside the piano", "in the cookie jar", "behind the {color} door",
                 "in the {color} bag", "under the apple tree", "in the kitchen drawer", "under the {color} pillow",
                 "in the garden shed", "behind the mirror", "inside the big book"]

BELONGINGS = """umbrella bicycle coat hat car house door kite bag cup scarf boat chair bed backpack phone lamp mug
notebook jacket sweater""".split()

NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SEASONS = "spring summer autumn winter".split()
