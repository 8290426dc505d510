from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light, means, mountain


def test_the_air_is_orange() -> None:
    for photo in (mountain(256), field(256)):
        red, green, blue = means(make_pair(photo, "sandstorm", seed=1).edited)
        assert red > 1.3 * green > 1.3 * 1.4 * blue


def test_what_is_far_is_hidden_more_than_what_is_near() -> None:
    photo = field(256)
    edited = light(make_pair(photo, "sandstorm", seed=1).edited)
    before = light(photo)
    far, near = slice(122, 150), slice(226, 256)
    assert edited[far].std() / before[far].std() < 0.6 * edited[near].std() / before[near].std()
