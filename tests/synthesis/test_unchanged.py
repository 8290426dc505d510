from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, mountain


def test_an_instruction_for_nothing_returns_the_source_and_an_empty_mask() -> None:
    for photo in (mountain(64), city(64)):
        pair = make_pair(photo, "unchanged", seed=1)
        assert np.array_equal(pair.edited, photo)
        assert pair.edited is not photo
        assert not pair.mask.any()
