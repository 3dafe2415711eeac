"""Which words may the grammar use?"""

ANIMALS = """fox rabbit bear mouse owl frog hedgehog squirrel turtle duck goose cat dog kitten puppy lion tiger elephant
monkey giraffe penguin whale crab deer wolf badger beaver otter pig sheep goat horse donkey cow hen crow parrot snail bee
butterfly dinosaur dragon unicorn griffin
camel zebra hippo kangaroo koala panda raccoon chipmunk mole swan eagle falcon raven robin sparrow pigeon stork
pelican seagull peacock turkey rooster lamb calf foal bull moose reindeer lynx leopard cheetah hyena seal walrus
dolphin shark octopus squid starfish lobster toad lizard snake gecko spider ant beetle ladybug cricket grasshopper dragonfly firefly
moth caterpillar worm bat hamster pony""".split()

WOMEN = "girl princess queen fairy witch grandmother".split()
MEN = "boy prince king wizard fisherman knight grandfather".split()
ANYONE = """farmer baker shepherd gardener sailor painter teacher doctor carpenter pirate tailor cook robot giant
clown
blacksmith miller postman weaver potter musician juggler dancer poet hunter librarian nurse astronaut
captain guard messenger inventor magician explorer""".split()

TRAITS = """brave kind clever curious shy happy cheerful gentle quiet funny proud lonely hungry sleepy playful patient
polite careful busy friendly honest grumpy lazy silly stubborn small young wise
cheeky bold calm thoughtful merry tidy messy jolly dreamy eager graceful helpful loyal noisy nosy peaceful
restless serious sensible strong swift talented tiny trusting warm-hearted wild witty""".split()

COLORS = "red blue green yellow orange purple pink white black brown gray golden silver".split()

LOOKS = COLORS + "shiny old new tiny big wooden little beautiful magic".split()

THINGS = """kite ball hat scarf basket drum lantern book boat bell blanket cup spoon bucket ribbon umbrella whistle
feather shell stone button coin map mirror box bag coat ring crown doll pillow candle pencil picture clock flute guitar
horn pot rope lamp flag balloon
wagon sled ladder broom hammer bottle jar basin teapot kettle plate fork pan comb brush glove mitten boot sandal
belt necklace bracelet pearl diamond jewel medal trophy globe telescope compass anchor oar sail net wheel tent puppet
puzzle marble notebook pen letter stamp postcard poster vase chair stool cushion rug curtain
carpet chest trunk lock chain trumpet violin harp banjo cello tambourine parasol fan wand shield helmet cape mask
wig pumpkin acorn pinecone leaf""".split()

INSTRUMENTS = "drum bell whistle flute guitar horn spoon cup pot".split()

PLACES = [f"the {place}" for place in """lighthouse museum zoo bus_station train_station playground swimming_pool theater
stable windmill vineyard wheat_field swamp desert canyon cliff spring well fountain town_square post_office bookshop toy_shop
cottage palace ruins temple quarry jungle glacier snowy_hill rose_garden herb_garden greenhouse forest beach river lake meadow garden park market village hill mountain valley
harbor castle farm orchard library school island cave pond old_mill bakery bridge field barn tower waterfall""".split()]
PLACES = [place.replace("_", " ") for place in PLACES]

NEAR = """the river|the forest|the sea|a quiet lake|the old mill|a green hill|the castle|the market|a wide meadow|the
mountains|a tall tree|the harbor|the edge of the village|a small bridge|an apple orchard|the lighthouse"""
NEAR = [" ".join(near.split()) for near in NEAR.split("|")]

FOODS = """soup bread pancakes pizza noodles rice salad cheese honey porridge cookies cake pie strawberries apples
bananas cherries carrots potatoes popcorn chocolate toast jam muffins pasta nuts oranges pears waffles tomatoes
grapes plums peaches melons lemons raisins beans peas corn onions mushrooms cucumbers lettuce spinach eggs sausages
dumplings pudding biscuits crackers pretzels butter yogurt milk tea lemonade cocoa chestnuts almonds walnuts figs dates
apricots mangoes pineapples coconuts blueberries raspberries""".split()

DISHES = ["vegetable soup", "apple pie", "honey cake", "pumpkin soup", "cherry pie", "nut bread", "carrot soup",
          "berry jam", "banana bread", "potato stew", "chocolate cake", "mushroom soup", "corn bread", "plum pie"]

SKILLS = ["swim", "whistle", "climb trees", "ride a bicycle", "read", "skate", "dance", "juggle", "row a boat", "sing",
          "paint", "bake bread", "play the flute", "tie a knot", "write letters", "jump over the stream"]

HOBBIES = ["swimming", "reading", "dancing", "singing", "cooking", "running", "drawing", "skating",
           "gardening", "sewing", "knitting", "pottery", "painting", "writing", "skiing", "surfing", "sailing", "rowing", "cycling",
           "juggling", "photography", "astronomy", "basketball", "volleyball", "hockey", "golf", "yoga", "climbing", "camping", "fishing", "hiking", "chess", "football", "tennis", "music", "building models", "baking"]

PETS = "cat dog rabbit hamster parrot turtle goldfish pony mouse lizard kitten puppy frog snail".split()

HIDING_PLACES = ["under the pot", "behind the clock", "in the box", "under the stone", "in the teapot", "behind the bookshelf",
                 "under the bed", "in the shoe", "under the doormat", "in the piano", "in the jar", "behind the door",
                 "in the bag", "under the tree", "in the drawer", "under the pillow", "behind the mirror", "in the basket",
                 "under the carpet", "behind the curtain"]

FACT_FOODS = """soup bread pancakes pizza noodles rice salad cheese honey porridge cookies cake pie strawberries apples
grapes plums peaches melons lemons raisins beans peas corn onions mushrooms""".split()


NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
AGES = NUMBERS[3:] + "thirteen fourteen fifteen sixteen twenty thirty forty fifty".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SEASONS = "spring summer autumn winter".split()
