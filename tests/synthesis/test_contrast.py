from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import light, mountain


def test_contrast_widens_and_narrows_the_spread_of_tones() -> None:
    photo = mountain(128)
    spread = light(photo).std()
    assert light(make_pair(photo, "high_contrast", seed=1).edited).std() > 1.2 * spread
    assert light(make_pair(photo, "low_contrast", seed=1).edited).std() < 0.5 * spread


def test_black_and_white_stay_in_place_with_more_contrast_and_meet_with_less() -> None:
    photo = np.zeros((4, 2, 3), np.uint8)
    photo[:, 1] = 255
    hard = make_pair(photo, "high_contrast", seed=1).edited
    soft = make_pair(photo, "low_contrast", seed=1).edited
    assert (hard[:, 0] == 0).all() and (hard[:, 1] == 255).all()
    assert soft[:, 0].min() > 60 and soft[:, 1].max() < 200
