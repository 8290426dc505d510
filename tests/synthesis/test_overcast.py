from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, field, light, mountain


def test_the_sky_is_light_grey() -> None:
    for photo in (mountain(256), field(256)):
        sky = make_pair(photo, "overcast", seed=1).edited[:70]
        assert chroma(sky).mean() < 14
        assert 150 < light(sky).mean() < 215


def test_large_lights_and_shades_even_out() -> None:
    photo = field(256)
    photo[160:, :128] //= 3
    ground = light(make_pair(photo, "overcast", seed=1).edited)[180:]
    before = light(photo)[180:]
    assert ground[:, 150:].mean() / ground[:, :100].mean() < 0.75 * (
        before[:, 150:].mean() / before[:, :100].mean()
    )
