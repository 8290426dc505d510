from __future__ import annotations

import numpy as np

from editar_cli.synthesis.absent import _MAY_BE_THERE, EFFECTS
from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_cutouts import cutout, cutouts
from tests.synthesis.painted_photos import city, field

THINGS = cutouts()


def pairs(photo, count=80, things=THINGS):
    found = [make_local_pair(photo, "absent", things, seed=seed) for seed in range(count)]
    assert all(pair is not None for pair in found)
    return [pair for pair in found if pair is not None]


def test_nothing_changes_and_nothing_may() -> None:
    for pair in pairs(field(64), 12):
        assert np.array_equal(pair.source, pair.edited) and not pair.mask.any()


def test_about_half_of_the_sources_show_another_thing_than_the_sentence_names() -> None:
    photo = field(96)
    made = pairs(photo, things=Cutouts([cutout("lamp"), cutout("vase")], cutouts().drawn))
    empty = [pair for pair in made if np.array_equal(pair.source, photo)]
    # Where both draws fall on one thing, none is shown.
    assert 0.55 < len(empty) / len(made) < 0.9


def test_grass_is_asked_for_only_where_none_grows() -> None:
    about = {"grass", "meadow", "lawn"}

    def asked(photo) -> int:
        return sum(bool(about & set(pair.instruction.split())) for pair in pairs(photo))

    assert asked(field(64)) == 0
    assert 8 < asked(city(64)) < 40


def test_what_a_photograph_may_show_by_itself_is_hardly_ever_asked_for() -> None:
    some = [cutout("dog"), cutout("tree"), cutout("house"), cutout("lamp")]
    assert {"tree", "house"} <= _MAY_BE_THERE
    removals = [
        pair.instruction
        for pair in pairs(field(64), things=Cutouts(some, some))
        if pair.instruction.startswith(("remove", "erase", "delete", "take away"))
    ]
    assert removals and not any("tree" in text or "house" in text for text in removals)


def test_sentences_are_those_of_edits_that_do_change_things() -> None:
    assert "remove the {thing}" in EFFECTS[0].instructions
    assert "make the {thing} {colour}" in EFFECTS[0].instructions
    assert "replace the {old} with {new}" in EFFECTS[0].instructions
