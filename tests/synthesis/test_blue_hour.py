from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, light, means, mountain


def test_everything_is_dim_and_blue_with_a_glow_at_the_horizon() -> None:
    for photo in (mountain(256), field(256), city(256)):
        edited = make_pair(photo, "blue_hour", seed=1).edited
        red, _, blue = means(edited)
        assert blue > 1.4 * red
        assert light(edited).mean() < 0.8 * light(photo).mean()
    sky = make_pair(field(256), "blue_hour", seed=1).edited
    assert light(sky[90:105]).mean() > 2 * light(sky[:20]).mean()
