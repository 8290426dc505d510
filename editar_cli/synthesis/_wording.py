"""The same sentence as other people would type it: politer, misspelt, in the other spelling.

Lists of wordings say what can be meant; these changes are of a kind that holds for any sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container

import numpy as np

_SPELLINGS = (
    ("colourise", "colorize"),
    ("colour", "color"),
    ("grey", "gray"),
    ("posterise", "posterize"),
    ("neutralise", "neutralize"),
    ("centre", "center"),
    ("watercolour", "watercolor"),
    ("favour", "favor"),
)
"""British and American."""

_ASKING = frozenset(
    """
make, turn, add, remove, change, put, give, take, paint, get, replace, swap, erase, delete, show,
bring, fix, restore, clean, let, convert, draw, place, insert, recolour, colour, color, dye, apply,
cover, transform, blur, brighten, darken, reduce, increase, lower, raise, sharpen, exchange, clear
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""First words of sentences that politeness fits."""

_POLITE = (
    "please {}",
    "{} please",
    "{}, please",
    "can you {}?",
    "could you {}?",
    "could you please {}?",
    "would you {}?",
    "I want you to {}",
    "hey, {}",
    "now {}",
    "just {}",
    "{}, thanks",
)


def varied(sentence: str, rng: np.random.Generator, *, never: Container[str] = ()) -> str:
    """The sentence as it is for half of the draws, else said in another way.

    Args:
        sentence: an instruction.
        rng: decides.
        never: sentences in lower case that must not come out, such as those kept out of training;
            then the sentence stays as it is.
    """
    changes: tuple[tuple[float, Callable[[str, np.random.Generator], str]], ...] = (
        (0.25, _politely),
        (0.15, _spelt_otherwise),
        (0.12, _misspelt),
        (0.15, _punctuated),
    )
    draws = rng.random(1 + len(changes))
    said = sentence
    if draws[0] < 0.5:
        return said
    for draw, (share, change) in zip(draws[1:], changes, strict=True):
        # Twice the share, as only half of the sentences come here.
        if draw < 2 * share:
            said = change(said, rng)
    return sentence if said.casefold() in never else said


def _politely(sentence: str, rng: np.random.Generator) -> str:
    words = sentence.split()
    if words[0].casefold() not in _ASKING or "please" in words or sentence.endswith("?"):
        return sentence
    return _POLITE[int(rng.integers(len(_POLITE)))].format(sentence)


def _spelt_otherwise(sentence: str, rng: np.random.Generator) -> str:
    del rng
    for british, american in _SPELLINGS:
        for one, other in ((british, american), (american, british)):
            if re.search(rf"\b{one}", sentence):
                return re.sub(rf"\b{one}", other, sentence)
    return sentence


def _misspelt(sentence: str, rng: np.random.Generator) -> str:
    """One slip of the fingers: two letters swapped, one left out or one typed twice.

    Only in a word of five letters or more, and never in its first letter.
    """
    places = [m.start() + i for m in re.finditer(r"[a-z]{5,}", sentence) for i in range(1, 4)]
    if not places:
        return sentence
    at = places[int(rng.integers(len(places)))]
    slip = int(rng.integers(3))
    if slip == 0:
        return sentence[:at] + sentence[at + 1] + sentence[at] + sentence[at + 2 :]
    if slip == 1:
        return sentence[:at] + sentence[at + 1 :]
    return sentence[:at] + sentence[at] + sentence[at:]


def _punctuated(sentence: str, rng: np.random.Generator) -> str:
    if sentence[-1] in "?.!":
        return sentence
    return sentence + ("." if rng.random() < 0.7 else "!")
