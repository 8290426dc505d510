"""What a person calls the things on cut-outs that bear the Unicode names of pictographs.

Such sets exist under free licences, but half of their pictures are no things that stand in a
photograph (signs, scenes, symbols, gestures), and many names are not what anyone would say. Names
that are not in these tables are taken as they are.
"""

from __future__ import annotations

LEFT_OUT = frozenset(
    """
adhesive bandage, admission tickets, airplane arriving, airplane departure, alembic, automated
teller machine, baggage claim, ballot box with ballot, ballot box with check, barber pole,
beach with umbrella, beans, bell with cancellation stroke, bellhop bell, bento box, bikini,
biting lip, black club suit, black nib, black spade suit, bookmark, bookmark tabs, bowling,
bridge at night, briefs, building construction, bus stop, butter, camping, carp streamer,
chestnut, child, children crossing, cityscape, cityscape at dusk, clapper board, clinking beer
mugs, clinking glasses, clipboard, closed lock with key, cloud with snow, compression,
confetti ball, control knobs, convenience store, curling stone, currency exchange, customs,
cyclone, dango, department store, derelict house building, desert, desert island, direct hit,
droplet, dvd, eight pointed black star, eight spoked asterisk, electric plug, elevator,
european post office, falafel, fax machine, field hockey stick and ball, file folder, film
frames, film projector, firecracker, firework sparkler, fireworks, fish cake with swirl
design, fishing pole and fish, flatbread, fleur-de-lis, flexed biceps, floppy disk, flower
playing cards, fog, foggy, fondue, fork and knife, fried shrimp, globe with meridians,
haircut, hammer and pick, hammer and wrench, hamsa, handshake, hear-no-evil monkey, herb,
high-speed train, horse racing, hot springs, ice hockey stick and puck, imp, inbox tray,
incoming envelope, index pointing at the viewer, knot, label, lacrosse stick and ball, leaf
fluttering in wind, leafy green, level slider, light rail, linked paperclips, lock with ink
pen, low battery, magic wand, mahjong tile red dragon, martial arts uniform, mate drink,
mechanical arm, memo, metro, microbe, milky way, minidisc, mobile phone, mobile phone off,
money with wings, monorail, moon cake, moon viewing ceremony, motorway, mount fuji, mountain,
mountain railway, mouse trap, moyai, multiple musical notes, musical keyboard, musical note,
musical score, nail polish, name badge, national park, nazar amulet, necktie, night with
stars, no entry, nut and bolt, oden, open file folder, optical disc, outbox tray, page with
curl, pager, paperclip, party popper, passport control, paw prints, performing arts, petri
dish, pill, pinched fingers, pine decoration, police cars revolving light, postal horn,
pouring liquid, probing cane, railway track, receipt, red gift envelope, reminder ribbon,
revolving hearts, rice cracker, rosette, round pushpin, running shirt with sash, safety pin,
sake bottle and cup, sari, see-no-evil monkey, sewing needle, shallow pan of food, shaved ice,
shooting star, shower, shrug, six pointed star with middle dot, ski and ski boot, snow capped
mountain, sparkle, sparkles, speak-no-evil monkey, speaker, speaker with cancellation stroke,
speaker with one sound wave, speaker with three sound waves, spiral calendar pad, spiral note
pad, stadium, staff of aesculapius, star of david, station, stuffed flatbread, sun behind
cloud, sunrise, sunrise over mountains, sunset over buildings, suspension railway, table
tennis paddle and ball, takeout box, tamale, tanabata tree, tear-off calendar, telephone
receiver, ticket, trackball, triangular ruler, trident emblem, two hearts, videocassette,
water closet, water wave, wedding, white flower, white sun behind cloud, white sun with small
cloud, wilted flower, wind chime, womans sandal
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""Names of pictures that are no use."""

SAID = dict(
    entry.split(" = ")
    for entry in """
closed umbrella = umbrella, earth globe europe-africa = globe, earth globe americas = globe,
earth globe asia-australia = globe, crescent moon = moon, glowing star = star, white sun behind
cloud with rain = rain cloud, cloud with rain = rain cloud, cloud with lightning = storm cloud,
cloud with tornado = tornado, evergreen tree = fir tree, deciduous tree = tree, hot pepper =
chilli, blossom = daisy, four leaf clover = clover, fallen leaf = some leaves, grapes = some
grapes, tangerine = orange, red apple = apple, green apple = apple, cherries = some cherries,
cooked rice = bowl of rice, curry and rice = bowl of curry, steaming bowl = bowl of noodles,
spaghetti = plate of spaghetti, bread = loaf of bread, french fries = some french fries, roasted
sweet potato = sweet potato, sushi = some sushi rolls, soft ice cream = ice cream cone, ice
cream = bowl of ice cream, chocolate bar = bar of chocolate, custard = pudding, honey pot = pot
of honey, shortcake = slice of cake, pot of food = pot of soup, cooking = frying pan, teacup
without handle = teacup, wine glass = glass of wine, cocktail glass = cocktail, beer mug = mug
of beer, fork and knife with plate = plate, bottle with popping cork = bottle, popcorn = box of
popcorn, wrapped present = present, jack-o-lantern = pumpkin, school satchel = backpack,
military medal = medal, studio microphone = microphone, carousel horse = wooden horse, ferris
wheel = Ferris wheel, movie camera = film camera, headphone = some headphones, artist palette =
palette, video game = game controller, billiards = billiard ball, game die = die, tennis racquet
and ball = tennis racket, basketball and hoop = basketball, sports medal = medal, american
football = American football, rugby football = rugby ball, racing motorcycle = motorcycle,
cricket bat and ball = cricket bat, house buildings = house, classical building = temple, house
building = house, house with garden = house, izakaya lantern = lantern, european castle =
castle, badminton racquet and shuttlecock = badminton racket, amphora = vase, water buffalo =
buffalo, spiral shell = seashell, bug = caterpillar, honeybee = bee, lady beetle = ladybird,
blowfish = pufferfish, hatching chick = chick, dromedary camel = camel, bactrian camel = camel,
spouting whale = whale, chipmunk = squirrel, womans hat = hat, eyeglasses = some glasses,
t-shirt = T-shirt, jeans = some jeans, womans clothes = shirt, mans shoe = shoe, athletic shoe =
running shoe, womans boots = boot, gem stone = diamond, electric light bulb = light bulb, money
bag = bag of money, personal computer = laptop, pushpin = drawing pin, straight ruler = ruler,
ledger = notebook, notebook with decorative cover = notebook, closed book = book, green book =
book, blue book = book, orange book = book, books = some books, public address loudspeaker =
loudspeaker, cheering megaphone = megaphone, package = cardboard box, camera with flash =
camera, lock = padlock, open lock = padlock, electric torch = torch, hocho = knife, sleuth or
spy = detective, dark sunglasses = some sunglasses, desktop computer = computer, frame with
picture = picture frame, file cabinet = filing cabinet, wastebasket = waste bin, old key = key,
world map = map, tokyo tower = tower, statue of liberty = statue, steam locomotive = steam
engine, railway car = tram, tram car = tram, oncoming bus = bus, trolleybus = bus, minibus =
van, oncoming police car = police car, oncoming taxi = taxi, automobile = car, oncoming
automobile = car, recreational vehicle = jeep, delivery truck = truck, articulated lorry =
lorry, mountain cableway = cable car, aerial tramway = cable car, rowboat = rowing boat,
horizontal traffic light = traffic light, vertical traffic light = traffic light, pedestrian =
person, bath = bathtub, couch and lamp = sofa, shopping bags = some shopping bags, hindu temple
= temple, playground slide = slide, wheel = wagon wheel, ring buoy = lifebuoy, oil drum = oil
barrel, motor boat = motorboat, small airplane = plane, passenger ship = cruise ship, scooter =
kick scooter, motor scooter = scooter, auto rickshaw = rickshaw, drum with drumsticks = drum,
tumbler glass = glass of whisky, goal net = goal, first place medal = medal, second place medal
= medal, third place medal = medal, flying disc = frisbee, bacon = some slices of bacon,
baguette bread = baguette, green salad = bowl of salad, peanuts = peanut, kiwifruit = kiwi,
pancakes = some pancakes, chopsticks = some chopsticks, bowl with spoon = bowl, cup with straw =
paper cup, cut of meat = steak, canned food = tin can, goggles = some goggles, flat shoe = shoe,
rhinoceros = rhino, shrimp = prawn, sauropod = dinosaur, t-rex = dinosaur, cricket =
grasshopper, hippopotamus = hippo, guide dog = dog, cheese wedge = piece of cheese, beverage box
= juice box, garlic = bulb of garlic, billed cap = cap, gloves = glove, socks = some socks,
jigsaw puzzle piece = puzzle piece, brick = brick wall, luggage = suitcase, lotion bottle =
bottle of lotion, roll of paper = toilet roll, ballet shoes = some ballet shoes, one-piece
swimsuit = swimsuit, thong sandal = flip-flop, nesting dolls = doll, ringed planet = planet,
diya lamp = oil lamp, military helmet = helmet, long drum = drum, carpentry saw = saw, headstone
= gravestone, placard = sign, mirror ball = disco ball, wood = log, lotus = lotus flower, empty
nest = nest, nest with eggs = nest, blueberries = some blueberries, bell pepper = pepper,
bubbles = some bubbles, watch = wristwatch, hourglass with flowing sand = hourglass, black sun
with rays = sun, black telephone = telephone, umbrella with rain drops = umbrella, hot beverage
= cup of coffee, black chess pawn = chess pawn, scales = some scales, funeral urn = urn, soccer
ball = football, snowman without snow = snowman, thunder cloud and rain = storm cloud, pick =
pickaxe, chains = some chains, shinto shrine = gate, fuel pump = petrol pump, black scissors =
some scissors, airplane = plane, white medium star = star, shorts = some shorts, christmas tree
= Christmas tree
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""Name -> what is said instead; "some" marks a plural."""

AIRBORNE = frozenset(
    """
balloon, bat, bee, bubbles, butterfly, cable car, cloud, comet, eagle, feather, fly, flying
saucer, helicopter, kite, moon, mosquito, parachute, plane, planet, rain cloud, rainbow, rocket,
satellite, snowflake, star, storm cloud, sun
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""What has its place above the ground and casts no shadow beside itself."""

COMMON = frozenset(
    """
dog, cat, horse, cow, sheep, pig, chicken, rabbit, duck, bird, elephant, tiger, penguin, fish,
butterfly, turtle, monkey, deer, owl, snake, goat, crocodile, dinosaur, teddy bear, spider, car,
bus, truck, taxi, train, bicycle, motorcycle, ship, sailboat, plane, helicopter, rocket,
balloon, house, castle, church, tent, tree, palm tree, fir tree, Christmas tree, cactus, rose,
tulip, sunflower, mushroom, apple, banana, orange, lemon, strawberry, pear, pineapple,
watermelon, grapes, cherries, tomato, carrot, loaf of bread, hamburger, slice of pizza, hot dog,
birthday cake, slice of cake, ice cream cone, doughnut, cookie, cup of coffee, teacup, teapot,
bottle, mug of beer, glass of wine, umbrella, hat, crown, shoe, boot, T-shirt, dress, handbag,
backpack, suitcase, book, laptop, television, camera, telephone, wristwatch, key, chair, bed,
sofa, bathtub, door, candle, football, basketball, guitar, violin, drum, present, snowman,
ghost, pumpkin, cloud, sun, moon, star, rainbow, fire, cardboard box, potted plant, person,
bucket, basket, flying saucer, fire engine, police car, tractor
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""What is asked for most, and so is drawn most often."""
