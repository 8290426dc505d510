from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, mountain


def test_every_middle_tone_has_the_hue_of_sepia() -> None:
    for photo in (mountain(128), field(128), city(128)):
        edited = make_pair(photo, "sepia", seed=1).edited.astype(float)
        middle = edited[(edited[..., 1] > 60) & (edited[..., 1] < 200)]
        red, green, blue = middle.T
        hue = 60 * (green - blue) / (red - blue)
        assert (red > green).all() and (green > blue).all()
        assert np.quantile(hue, 0.02) > 22 and np.quantile(hue, 0.98) < 42


def test_sepia_depends_on_the_light_alone() -> None:
    photo = np.zeros((8, 2, 3), np.uint8)
    photo[:, 0] = (120, 120, 120)
    photo[:, 1] = (200, 96, 120)  # the same luma
    edited = make_pair(photo, "sepia", seed=1).edited.astype(int)
    assert np.abs(edited[:, 0] - edited[:, 1]).max() <= 1
