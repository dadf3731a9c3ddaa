"""The words of the sample task: what the customers of a small appliance shop write.

Every list has phrases that any split may use and phrases held out for the test split, so that the
test score is about reading a new ticket and not about recalling an old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """Wordings of one meaning: `shared` by all splits, `held_out` for the test split alone."""

    shared: tuple[str, ...]
    held_out: tuple[str, ...]


ITEMS = Phrases(
    shared=(
        "kettle",
        "toaster",
        "blender",
        "desk lamp",
        "hair dryer",
        "robot vacuum",
        "record player",
        "coffee grinder",
        "rice cooker",
        "heated blanket",
        "label printer",
        "bike light",
        "doorbell",
        "fan heater",
        "baby monitor",
        "stand mixer",
        "waffle iron",
        "air fryer",
        "juicer",
        "ice maker",
        "clock radio",
        "keyboard",
        "sewing machine",
        "photo scanner",
    ),
    held_out=(
        "milk frother",
        "bread maker",
        "garden pump",
        "night light",
        "electric shaver",
        "popcorn machine",
        "foot spa",
        "card reader",
    ),
)

PROBLEMS: Mapping[str, Phrases] = {
    "broken": Phrases(
        shared=(
            "my {item} stopped working",
            "the {item} no longer turns on",
            "the {item} is dead",
            "the {item} hums but does nothing",
            "our {item} smells of smoke",
            "the {item} gave up this morning",
            "the {item} trips the fuse every time",
        ),
        held_out=(
            "there is not a sign of life from the {item}",
            "my {item} quit on me",
        ),
    ),
    "damaged": Phrases(
        shared=(
            "the {item} arrived with a big crack",
            "the box was crushed and the {item} is dented",
            "the {item} came out of the parcel in two halves",
            "the {item} has scratches all over",
            "the courier dropped the {item}",
            "your {item} reached me with a smashed corner",
        ),
        held_out=(
            "the {item} was bent when I unpacked it",
            "the parcel got squashed, and so did the {item}",
        ),
    ),
    "late": Phrases(
        shared=(
            "the {item} has still not arrived",
            "I have been waiting three weeks for my {item}",
            "no {item} in the post so far",
            "tracking says my {item} is in Poland",
            "the {item} was promised for last Friday",
            "the {item} seems to be lost on the way",
        ),
        held_out=(
            "I am growing old waiting for the {item}",
            "another week gone and no {item} at my door",
        ),
    ),
    "wrong": Phrases(
        shared=(
            "I ordered a blue {item} and got a pink one",
            "this is not the {item} I picked",
            "you sent somebody else's {item}",
            "the {item} is the small one, I bought the large",
            "the {item} has a British plug, I live in Vienna",
            "I asked for another kind of {item}",
        ),
        held_out=(
            "the {item} in the box is not the one on my receipt",
            "somebody mixed up the colours, I wanted a red {item}",
        ),
    ),
    "incomplete": Phrases(
        shared=(
            "the {item} came without its cable",
            "the screws for the {item} are missing",
            "there was no manual with the {item}",
            "half the parts of the {item} are not in the box",
            "I got the {item} but not the charger",
            "there was no lid for the {item}",
        ),
        held_out=(
            "I cannot find the plug that belongs to the {item}",
            "one bag of parts for the {item} never made it into the box",
        ),
    ),
    "overcharged": Phrases(
        shared=(
            "you charged my card twice for the {item}",
            "the {item} cost 39 online and the bill says 59",
            "my discount code for the {item} was ignored",
            "I paid for one {item} and the invoice lists three",
            "the bill for the {item} is too high",
            "there is a strange extra fee on the {item} invoice",
        ),
        held_out=(
            "the {item} was on sale, yet I paid the full price",
            "my bank shows two payments for a single {item}",
        ),
    ),
}

WISHES: Mapping[str, Phrases] = {
    "refund": Phrases(
        shared=(
            "please send my money back",
            "I want a refund",
            "kindly return the amount to my card",
            "just pay me back",
            "I would like to be reimbursed",
        ),
        held_out=("let me have my cash again",),
    ),
    "replace": Phrases(
        shared=(
            "please swap it",
            "I want a new one",
            "send me another one",
            "can I exchange it",
            "I would like a replacement",
        ),
        held_out=("a fresh one would make me happy",),
    ),
    "repair": Phrases(
        shared=(
            "can you fix it",
            "I would like it repaired",
            "please have a technician look at it",
            "I want to keep it, so mend it",
            "can your workshop save it",
        ),
        held_out=("please get it going again",),
    ),
    "send parts": Phrases(
        shared=(
            "please post the rest",
            "send what is missing",
            "mail me the part",
            "I only need the missing piece",
            "can you ship what you forgot",
        ),
        held_out=("put the remaining bits in the mail",),
    ),
    "track": Phrases(
        shared=(
            "where is it",
            "please find out where it is",
            "tell me when it comes",
            "can you check with the courier",
            "I need a delivery date",
        ),
        held_out=("any idea which truck it is on",),
    ),
    "call": Phrases(
        shared=(
            "please ring me",
            "can someone phone me",
            "I want to talk to a human",
            "call me back",
            "I prefer to discuss it on the phone",
        ),
        held_out=("give me a buzz",),
    ),
}

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "broken": ("refund", "replace", "repair", "call"),
    "damaged": ("refund", "replace", "repair", "call"),
    "late": ("refund", "track", "call"),
    "wrong": ("refund", "replace", "call"),
    "incomplete": ("refund", "send parts", "call"),
    "overcharged": ("refund", "call"),
}
"""The wishes that make sense for a problem: nobody asks to repair an invoice."""

DEADLINES: Mapping[str, Phrases] = {
    "now": Phrases(
        shared=(
            "today if you can",
            "right away",
            "it is urgent",
            "at once",
            "I cannot wait any longer",
        ),
        held_out=("every hour counts",),
    ),
    "date": Phrases(
        shared=(
            "by {date}",
            "by {date} at the latest",
            "I need it by {date}",
            "no later than {date}",
        ),
        held_out=("my deadline is {date}",),
    ),
    "any": Phrases(
        shared=(
            "no rush",
            "whenever it suits you",
            "take your time",
            "I am in no hurry",
        ),
        held_out=("it can wait",),
    ),
}

ORDERS = Phrases(
    shared=(
        "order {order}",
        "order #{order}",
        "it is order no. {order}",
        "my order is {order}",
        "ref {order}",
    ),
    held_out=("the receipt says {order}",),
)

GREETINGS = Phrases(
    shared=(
        "Hi,",
        "Hello,",
        "Dear team,",
        "Good morning,",
        "Hey!",
        "To whom it may concern:",
        "Help!",
    ),
    held_out=("Moin,", "Dear shop,"),
)

WRITERS = Phrases(
    shared=(
        "Rosa",
        "Grandma Ilse",
        "Cafe Lilli",
        "Tom",
        "Dr. Weber",
        "Hotel Alpenblick",
        "Mehmet",
        "Anna",
        "the Smiths",
        "Luca",
        "Room 12",
        "Priya",
        "Barber Joe",
        "Mrs. Novak",
        "the night shift",
        "Yuki",
    ),
    held_out=("Oma Trude", "Bakery Sonne", "Kwame", "Captain Olsen", "the choir", "Fatima"),
)

LAYOUTS = Phrases(
    shared=(
        "{greeting} {problem}. {order}. {wish}, {deadline}. {writer}",
        "{greeting} {problem} ({order}). {wish}, {deadline}.",
        "{order}. {problem}. {wish}, {deadline}. {writer}",
        "{problem}! {wish}, {deadline}. {order}, {writer}",
        "{writer} here. {problem}. {wish}, {deadline}. {order}",
    ),
    held_out=(
        "{order}: {problem}. {deadline}. {wish}. {writer}",
        "{greeting} {wish}, {deadline}. {problem}. {order}. {writer}",
    ),
)
