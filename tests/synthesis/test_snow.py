from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, field, light, mountain


def test_snow_brightens_the_ground_and_takes_its_colour() -> None:
    for photo in (mountain(256), field(256)):
        edited = make_pair(photo, "snow", seed=1).edited
        ground = slice(180, None)
        assert light(edited[ground]).mean() > light(photo[ground]).mean() + 60
        assert chroma(edited[ground]).mean() < 0.4 * chroma(photo[ground]).mean()


def test_snow_leaves_the_dark_sides_of_the_ground_darker() -> None:
    photo = field(256)
    edited = light(make_pair(photo, "snow", seed=1).edited)[180:]
    source = light(photo)[180:]
    dark, bright = source < np.quantile(source, 0.2), source > np.quantile(source, 0.8)
    assert edited[dark].mean() < edited[bright].mean() - 40


def test_the_sky_of_snow_is_grey_and_holds_white_flakes() -> None:
    edited = make_pair(mountain(256), "snow", seed=1).edited[:70]
    assert np.median(chroma(edited)) < 20
    flakes = light(edited) > np.median(light(edited)) + 25
    assert 0.002 < flakes.mean() < 0.06
