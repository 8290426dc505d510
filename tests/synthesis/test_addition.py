from __future__ import annotations

import numpy as np
import pytest

from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_cutouts import RED, cutout
from tests.synthesis.painted_photos import mountain

PHOTO = mountain(96)


def pairs(*things, count: int = 150):
    some = Cutouts(list(things), list(things))
    return [make_local_pair(PHOTO, "addition", some, seed=seed) for seed in range(count)]


def centre(pair) -> tuple[float, float]:
    """x and y of the middle of the added thing, without its shadow."""
    changed = np.abs(pair.edited.astype(int) - pair.source).max(axis=2) > 60
    y, x = np.argwhere(changed).mean(axis=0) / PHOTO.shape[0]
    return float(x), float(y)


@pytest.fixture(scope="module")
def grounded():
    return pairs(cutout("ball", RED), cutout("disc", RED))


@pytest.fixture(scope="module")
def flying():
    return pairs(cutout("ball", RED, airborne=True), cutout("disc", RED, airborne=True))


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("on the left", (0.2, 0.7)),
        ("on the right", (0.8, 0.7)),
        ("in the middle", (0.5, 0.5)),
        ("in the centre", (0.5, 0.5)),
        ("in the lower left corner", (0.17, 0.8)),
        ("at the bottom right", (0.83, 0.8)),
    ],
)
def test_a_thing_is_where_the_sentence_says(grounded, words, place) -> None:
    found = [centre(pair) for pair in grounded if words in pair.instruction]
    assert found
    for x, y in found:
        assert x == pytest.approx(place[0], abs=0.1)
        assert y == pytest.approx(place[1], abs=0.16)


def test_what_flies_is_above(flying) -> None:
    for pair in flying:
        assert centre(pair)[1] < 0.5
        assert "bottom" not in pair.instruction and "lower" not in pair.instruction
    assert any("in the sky" in pair.instruction for pair in flying)
    assert any("in the upper left corner" in pair.instruction for pair in flying)


def test_a_thing_without_a_place_has_its_usual_one(grounded) -> None:
    plain = [p for p in grounded if not any(f" {w} " in p.instruction for w in ("on", "in", "at"))]
    assert len(plain) > 10
    assert np.ptp([centre(pair)[0] for pair in plain]) < 0.12


def test_small_is_smaller_than_plain_and_big_is_bigger(grounded) -> None:
    sizes = {"small": [], "big": [], "": []}
    for pair in grounded:
        word = next((w for w in ("small", "big") if w in pair.instruction), "")
        sizes[word].append(pair.mask.mean())
    assert max(sizes["small"]) < np.mean(sizes[""]) < min(sizes["big"])


def test_a_colour_that_is_asked_for_is_given(grounded) -> None:
    blue = [pair for pair in grounded if " blue " in pair.instruction]
    assert blue
    for pair in blue:
        changed = np.abs(pair.edited.astype(int) - pair.source).max(axis=2) > 60
        red, _, azure = pair.edited[changed].mean(axis=0)
        assert azure > red + 40


def test_most_sources_are_the_plain_photograph_and_some_hold_another_thing(grounded) -> None:
    plain = [np.array_equal(pair.source, PHOTO) for pair in grounded]
    assert 0.6 < np.mean(plain) < 0.99


def test_plurals_have_no_article() -> None:
    for pair in pairs(cutout("grapes", plural=True), cutout("keys", plural=True), count=40):
        assert " a grapes" not in f" {pair.instruction}"
        assert "some" in pair.instruction or pair.instruction.startswith("add ")
