from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, means


def test_leaves_are_red_and_the_sky_is_cyan() -> None:
    edited = make_pair(field(256), "infrared", seed=1).edited
    red, green, blue = means(edited[150:])
    assert red > 1.5 * green and red > 1.5 * blue
    red, green, blue = means(edited[:80])
    assert green > 1.2 * red and blue > 1.2 * red
