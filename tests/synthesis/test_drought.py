from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, means, mountain


def test_green_ground_turns_to_straw() -> None:
    for photo in (field(256), mountain(256)):
        red, green, blue = means(make_pair(photo, "drought", seed=1).edited[190:])
        assert red > 1.1 * green > 1.1 * 1.3 * blue
