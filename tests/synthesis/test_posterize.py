from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, mountain


def test_most_values_are_one_of_four_levels() -> None:
    for photo in (mountain(256), city(256)):
        edited = make_pair(photo, "posterize", seed=1).edited.astype(int)
        near = np.abs(edited[..., None] - np.array([0, 85, 170, 255])).min(axis=-1) < 8
        assert near.mean() > 0.75
