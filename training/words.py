"""Which words may the grammar use?"""

GIRLS = """Anna Emma Olivia Mia Lily Clara Sofia Nora Ella Grace Lucy Alice Rose Ruby Ivy Hannah Zoe Maya Leah Eva Julia
Sarah Laura Maria Lena Ada Iris Jane Kate Amy Molly Daisy Holly Wendy Heidi Tara Nina Vera Paula Mary Sue Betty Carol
Diana Ellen Flora Helen Irene Joan Linda Martha Olga Rita Susan Tina""".split()

BOYS = """Tom Ben Max Leo Sam Jack Noah Liam Finn Hugo Oscar Felix Peter Paul Mark David Daniel Adam Luke Henry George
Oliver James Jacob Ethan Simon Theo Emil Anton Victor Martin Toby Billy Harry Charlie Eric Ian Carl Walter Frank John
Bob Alex Tim Rob Nick Joe Dan Fred Gus Ned Otto Ray Will""".split()

ANIMAL_NAMES = """Rusty Pip Coco Milo Biscuit Pepper Ginger Hazel Bramble Willow Clover Poppy Berry Honey Maple Nutmeg
Pebble Sunny Shadow Smoky Star Storm Teddy Tilly Toffee Whisper Ziggy Bouncer Buttons Cinnamon Cookie Dusty Fern Fluffy
Fudge Jasper Juniper Lucky Marble Misty Muffin Patches Peanut Pickle Pumpkin Scout Snowy Socks Sparky Speedy Spot
Twinkle Waffles Whiskers Bella Bruno""".split()

SYLLABLES = "ba be bo da de do fa ga ka ki ko la le li lo ma me mi mo na ne ni no pa ra re ri ro sa ta te ti to va vi za zo".split()

ANIMALS = """fox rabbit bear mouse owl frog hedgehog squirrel turtle duck goose cat dog kitten puppy lion tiger elephant
monkey giraffe zebra penguin seal whale dolphin crab deer wolf badger beaver otter pig sheep lamb goat horse pony donkey
cow hen rooster sparrow crow parrot swan snail bee ant butterfly ladybug mole bat camel kangaroo koala panda hippo
crocodile lizard wombat dinosaur dragon unicorn griffin""".split()

WOMEN = "girl princess queen fairy witch grandmother".split()
MEN = "boy prince king wizard fisherman knight grandfather".split()
ANYONE = """farmer baker shepherd gardener sailor painter teacher doctor carpenter pirate explorer miller tailor
shoemaker cook musician robot giant elf astronaut clown librarian""".split()

TRAITS = """brave kind clever curious shy happy cheerful gentle quiet funny proud lonely hungry sleepy playful patient
polite careful busy friendly honest grumpy lazy silly stubborn small young wise""".split()

COLORS = "red blue green yellow orange purple pink white black brown gray golden silver".split()

LOOKS = COLORS + "shiny old new tiny big soft wooden round striped little beautiful magic".split()

THINGS = """kite ball hat scarf basket drum lantern book boat bell blanket cup spoon bucket ribbon umbrella whistle
feather shell stone button coin map mirror box bag coat glove key ring necklace crown puppet doll pillow candle brush
pencil letter picture clock flute violin guitar trumpet horn jar pot rope wheel sled lamp telescope compass
flag balloon acorn rose seed pearl mug lunchbox backpack bottle comb fan hammer marble mask needle notebook paddle plate
purse quilt shovel teapot ticket vase""".split()

INSTRUMENTS = "drum bell whistle flute violin guitar trumpet horn spoon cup pot comb".split()

PLACES = [f"the {place}" for place in """forest beach river lake meadow garden park market village hill mountain valley
harbor castle farm orchard library school island desert cave pond old_mill windmill bakery town_square bridge field
barn tower train_station playground lighthouse waterfall jungle museum""".split()]
PLACES = [place.replace("_", " ") for place in PLACES]

NEAR = """the river|the forest|the sea|a quiet lake|the old mill|a green hill|the castle|the market|a wide meadow|the
mountains|a tall tree|the harbor|the edge of the village|a small bridge|an apple orchard|the lighthouse"""
NEAR = [" ".join(near.split()) for near in NEAR.split("|")]

FOODS = """soup bread pancakes pizza noodles rice salad cheese honey porridge cookies cake pie strawberries apples
bananas cherries carrots potatoes corn popcorn chocolate toast jam yogurt muffins pasta beans grapes oranges pears nuts
sandwiches waffles dumplings tomatoes peas eggs""".split()

DISHES = ["vegetable soup", "apple pie", "honey cake", "pumpkin soup", "cherry pie", "nut bread", "carrot soup",
          "berry jam", "banana bread", "potato stew", "chocolate cake", "mushroom soup", "corn bread", "plum pie"]

SKILLS = ["swim", "whistle", "climb trees", "ride a bicycle", "read", "skate", "dance", "juggle", "row a boat", "sing",
          "paint", "bake bread", "play the flute", "tie a knot", "write letters", "jump over the stream"]

HOBBIES = ["swimming", "reading", "painting", "dancing", "singing", "cooking", "running", "drawing", "skating",
           "gardening", "fishing", "hiking", "chess", "football", "tennis", "music", "building models", "baking"]

JOBS = """baker teacher doctor nurse pilot painter farmer singer writer dancer gardener sailor cook vet scientist
firefighter librarian astronaut carpenter musician""".split()

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
