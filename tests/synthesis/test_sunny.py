from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, light, mountain


def test_the_sky_is_blue_and_bluest_at_the_top() -> None:
    for photo in (mountain(256), field(256), city(256)):
        sky = make_pair(photo, "sunny", seed=1).edited[:70].astype(float)
        assert sky[..., 2].mean() > sky[..., 0].mean() + 40
        depth = sky[..., 2] - sky[..., 0]
        assert depth[:20].mean() > depth[50:].mean()


def test_dark_ground_is_lifted() -> None:
    photo = city(256)
    edited = make_pair(photo, "sunny", seed=1).edited
    assert light(edited)[130:].mean() > 1.3 * light(photo)[130:].mean()
