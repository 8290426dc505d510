from __future__ import annotations

import numpy as np

from editar_cli.synthesis._paint import COLOURS
from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_cutouts import RED, YELLOW, cutout
from tests.synthesis.painted_photos import mountain

PHOTO = mountain(96)


def asked(instruction: str) -> str:
    """The colour a sentence asks for: the last it names, or the first before the thing's name."""
    words = [word.strip("?") for word in instruction.split()]
    named = [word for word in words if word in COLOURS]
    return named[-1]


def test_the_thing_takes_the_colour_and_keeps_its_shape() -> None:
    some = [cutout("ball", RED), cutout("can", YELLOW)]
    seen = set()
    for seed in range(80):
        pair = make_local_pair(PHOTO, "recolour", Cutouts(some, some), seed=seed)
        colour = asked(pair.instruction)
        seen.add(colour)
        changed = np.abs(pair.edited.astype(int) - pair.source).max(axis=2) > 40
        mean = pair.edited[changed].mean(axis=0)
        if colour in ("green", "blue"):
            assert int(np.argmax(mean)) == {"green": 1, "blue": 2}[colour], pair.instruction
        if colour == "black":
            assert mean.max() < 70
    assert len(seen) > 5


def test_a_thing_is_not_asked_to_be_what_it_is() -> None:
    some = [cutout("ball", RED), cutout("can", RED)]
    for seed in range(40):
        pair = make_local_pair(PHOTO, "recolour", Cutouts(some, some), seed=seed)
        assert asked(pair.instruction) != "red"


def test_things_without_a_main_colour_are_passed_over() -> None:
    mixed = cutout("rug")
    for i, colour in enumerate(((200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 230, 230))):
        mixed.picture[:, 15 * i : 15 * i + 15, :3] = colour
    some = Cutouts([mixed, cutout("ball")], [mixed, cutout("ball")])
    for seed in range(20):
        text = make_local_pair(PHOTO, "recolour", some, seed=seed).instruction
        assert "ball" in text and "rug" not in text
