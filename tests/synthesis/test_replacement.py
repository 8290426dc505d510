from __future__ import annotations

import numpy as np

from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_cutouts import BLUE, GREEN, RED, cutout
from tests.synthesis.painted_photos import mountain

PHOTO = mountain(96)


def test_the_shown_thing_gives_way_to_the_drawn_one_at_the_same_place() -> None:
    some = Cutouts([cutout("ball", RED)], [cutout("can", BLUE), cutout("ball", RED)])
    for seed in range(30):
        pair = make_local_pair(PHOTO, "replacement", some, seed=seed)
        assert "ball" in pair.instruction and "can" in pair.instruction
        changed = np.abs(pair.edited.astype(int) - pair.source).max(axis=2) > 50
        before, after = pair.source[changed].mean(axis=0), pair.edited[changed].mean(axis=0)
        assert before[0] > before[2] + 40 and after[2] > after[0] + 40


def test_the_new_thing_is_another_one_even_where_that_is_rare() -> None:
    some = Cutouts([cutout("ball")], [*[cutout("ball")] * 40, cutout("can", airborne=True)])
    for seed in range(10):
        assert "can" in make_local_pair(PHOTO, "replacement", some, seed=seed).instruction


def test_what_flies_gives_way_to_what_flies() -> None:
    things = [
        cutout("ball"), cutout("can", GREEN), cutout("kite", BLUE, airborne=True),
        cutout("plane", GREEN, airborne=True),
    ]  # fmt: skip
    for seed in range(30):
        text = make_local_pair(PHOTO, "replacement", Cutouts(things, things), seed=seed).instruction
        assert ("kite" in text) == ("plane" in text)
        assert ("ball" in text) == ("can" in text)
