from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, light, means, mountain, window_mask


def test_night_is_dark_and_blue() -> None:
    for photo in (mountain(256), field(256)):
        edited = make_pair(photo, "night", seed=1).edited
        assert light(edited).mean() < 0.35 * light(photo).mean()
        red, green, blue = means(edited)
        assert blue > 1.25 * green > 1.25 * red


def test_windows_stay_lit_and_warm_at_night() -> None:
    photo = city(256)
    edited = make_pair(photo, "night", seed=1).edited
    lit = window_mask(256)
    assert np.median(light(edited)[lit]) > 120
    assert light(edited)[~lit].mean() < 45
    assert np.median(edited[lit][:, 0].astype(int) - edited[lit][:, 2]) > 40


def test_stars_stand_in_the_sky_and_not_on_the_ground() -> None:
    photo = field(256)
    first = light(make_pair(photo, "night", seed=1).edited)
    second = light(make_pair(photo, "night", seed=2).edited)
    moved = np.abs(first - second) > 8
    assert 0.0005 < moved[:100].mean() < 0.05
    assert moved[140:].mean() == 0
