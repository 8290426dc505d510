from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, means, mountain


def test_warmer_shifts_from_blue_to_red_and_cooler_back() -> None:
    for photo in (mountain(128), city(128)):
        red, _, blue = means(photo)
        warm_red, _, warm_blue = means(make_pair(photo, "warmer", seed=1).edited)
        cool_red, _, cool_blue = means(make_pair(photo, "cooler", seed=1).edited)
        assert (warm_red - warm_blue) > (red - blue) + 30
        assert (cool_red - cool_blue) < (red - blue) - 30


def test_grey_turns_orange_or_blue() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    red, green, blue = means(make_pair(grey, "warmer", seed=1).edited)
    assert red > green > blue
    red, green, blue = means(make_pair(grey, "cooler", seed=1).edited)
    assert red < green < blue
