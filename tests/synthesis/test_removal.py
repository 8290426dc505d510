from __future__ import annotations

import numpy as np

from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_cutouts import BLUE, GREEN, RED, cutout
from tests.synthesis.painted_photos import mountain

PHOTO = mountain(96)


def pairs(cutouts: Cutouts, count: int = 60):
    return [make_local_pair(PHOTO, "removal", cutouts, seed=seed) for seed in range(count)]


def test_a_single_thing_leaves_the_plain_photograph() -> None:
    some = [cutout("ball", RED)]
    found = pairs(Cutouts(some, [*some, cutout("key")]), 20)
    assert all(np.array_equal(pair.edited, PHOTO) for pair in found)
    assert all("ball" in pair.instruction for pair in found)
    assert any("red ball" in pair.instruction for pair in found)


def test_of_two_things_the_named_one_goes_and_the_other_stays() -> None:
    some = [cutout("ball", RED), cutout("can", GREEN), cutout("box", BLUE)]
    main = {"ball": 0, "can": 1, "box": 2}
    stayed = 0
    for pair in pairs(Cutouts(some, some)):
        if np.array_equal(pair.edited, PHOTO):
            continue
        stayed += 1
        gone = pair.source.astype(int) - pair.edited
        named = [noun for noun in main if noun in pair.instruction]
        assert len(named) == 1
        # What was there has most of its own colour, against the greys and browns of the rocks.
        inside = pair.source[np.abs(gone).max(axis=2) > 40].mean(axis=0)
        assert int(np.argmax(inside - inside.mean())) == main[named[0]] or named == ["can"]
    assert stayed > 5


def test_both_things_go_where_both_are_named() -> None:
    some = [cutout("ball", RED), cutout("can", GREEN)]
    both = [pair for pair in pairs(Cutouts(some, some), 100) if " and the " in pair.instruction]
    assert both
    assert all(np.array_equal(pair.edited, PHOTO) for pair in both)


def test_a_place_in_a_sentence_is_true() -> None:
    some = [cutout("ball", RED), cutout("can", GREEN)]
    seen = set()
    for pair in pairs(Cutouts(some, some), 160):
        middle = np.argwhere(pair.mask)[:, 1].mean() / PHOTO.shape[1]
        for side, true in (("left", middle < 0.45), ("right", middle > 0.55)):
            if f"on the {side}" in pair.instruction:
                assert true, pair.instruction
                seen.add(side)
    assert seen == {"left", "right"}
