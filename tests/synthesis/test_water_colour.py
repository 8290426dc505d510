from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis import _regions as regions
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_photos import coast, mountain

WORDS = {"water", "sea", "lake", "ocean"}


def test_the_sentence_names_the_part_and_the_mask_is_it() -> None:
    photo = coast(128)
    weight = regions.water(px.to_unit(photo))
    assert weight is not None
    colours = set()
    for seed in range(40):
        pair = make_local_pair(photo, "water_colour", None, seed=seed)
        assert pair is not None
        words = {word.strip("?") for word in pair.instruction.split()}
        assert words & WORDS
        colours |= words & set(regions.HUES)
        assert np.array_equal(pair.mask, weight > 0)
        assert np.array_equal(pair.source, photo)
    assert len(colours) >= 4


def test_a_photograph_without_it_is_refused() -> None:
    assert make_local_pair(mountain(128), "water_colour", None, seed=1) is None
