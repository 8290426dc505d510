from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, light, means, mountain


def test_vintage_lifts_black_fades_colour_and_yellows_white() -> None:
    black = make_pair(np.zeros((64, 64, 3), np.uint8), "vintage", seed=1).edited
    assert light(black)[24:40, 24:40].min() > 25
    red, green, blue = means(
        make_pair(np.full((64, 64, 3), 255, np.uint8), "vintage", seed=1).edited
    )
    assert red > green > blue + 30
    photo = mountain(128)
    sky = slice(0, 30)
    faded = make_pair(photo, "vintage", seed=1).edited
    assert chroma(faded[sky]).mean() < 0.6 * chroma(photo[sky]).mean()


def test_the_corners_are_darker_than_the_middle() -> None:
    edited = light(make_pair(np.full((64, 64, 3), 180, np.uint8), "vintage", seed=1).edited)
    assert edited[:6, :6].mean() < 0.8 * edited[28:36, 28:36].mean()
