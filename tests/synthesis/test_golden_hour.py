from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, light, means, mountain


def test_everything_is_warm_and_no_darker() -> None:
    for photo in (mountain(256), field(256), city(256)):
        edited = make_pair(photo, "golden_hour", seed=1).edited
        red, green, blue = means(edited)
        assert red > green > 1.1 * blue
        assert light(edited).mean() > 0.95 * light(photo).mean()
