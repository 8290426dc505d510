from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light, means, mountain


def test_sunset_is_orange_at_the_horizon_and_violet_above() -> None:
    edited = make_pair(field(256), "sunset", seed=1).edited
    red, green, blue = means(edited[85:105])
    assert red > green + 30 > blue + 60
    top_red, _, top_blue = means(edited[:15])
    assert top_blue > top_red


def test_the_ground_at_sunset_is_warm_and_dimmer() -> None:
    photo = mountain(256)
    edited = make_pair(photo, "sunset", seed=1).edited[190:]
    assert light(edited).mean() < light(photo[190:]).mean()
    red, green, blue = means(edited)
    assert red > green > blue
