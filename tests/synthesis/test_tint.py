from __future__ import annotations

import colorsys

import numpy as np
import pytest

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, means, mountain

HUES = {
    "red_tint": 0,
    "green_tint": 130,
    "blue_tint": 223,
    "purple_tint": 277,
    "yellow_tint": 48,
    "pink_tint": 333,
}
"""Degrees on the colour circle."""


@pytest.mark.parametrize("name", HUES)
def test_a_tint_brings_any_scene_near_its_hue(name: str) -> None:
    for photo in (mountain(128), field(128), city(128)):
        red, green, blue = means(make_pair(photo, name, seed=1).edited)
        hue, saturation, _ = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        away = abs((hue * 360 - HUES[name] + 180) % 360 - 180)
        assert away < 22
        assert saturation > 0.25


def test_no_two_tints_are_alike() -> None:
    photo = mountain(64)
    looks = np.array([means(make_pair(photo, name, seed=1).edited) for name in HUES])
    distances = np.abs(looks[:, None] - looks[None]).sum(axis=2)
    assert distances[~np.eye(len(HUES), dtype=bool)].min() > 50
