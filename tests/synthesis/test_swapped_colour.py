from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _regions as regions
from editar_cli.synthesis.local import make_local_pair
from tests.synthesis.painted_photos import ball_mask, city, coast


def test_what_is_named_is_there_and_takes_the_other_colour() -> None:
    photo = coast(128)
    ball = ball_mask(128)
    seen = set()
    for seed in range(60):
        pair = make_local_pair(photo, "swapped_colour", None, seed=seed)
        assert pair is not None
        words = [word.strip("?") for word in pair.instruction.split()]
        old, new = [word for word in words if word in regions.HUES]
        seen.add(old)
        assert old != new
        if old == "red":
            assert pair.mask[ball].mean() > 0.95
            change = np.abs(pair.edited.astype(int) - photo)[ball].mean()
            assert change > 20
        else:
            assert pair.mask[ball].mean() < 0.2
    assert "red" in seen and len(seen) > 1


def test_a_photograph_without_strong_colours_is_refused() -> None:
    assert make_local_pair(city(128) // 2, "swapped_colour", None, seed=1) is None
