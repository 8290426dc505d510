from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, means


def test_grass_is_lighter_with_pink_in_it() -> None:
    photo = field(256)
    ground = make_pair(photo, "spring", seed=1).edited[140:]
    assert ground.mean() > 1.3 * photo[140:].mean()
    red, green, blue = (ground[..., i].astype(int) for i in range(3))
    pink = (red > green) & (red > blue)
    assert 0.1 < pink.mean() < 0.6
    rest = ground[~pink]
    assert rest[:, 1].mean() > 1.15 * rest[:, 2].mean()


def test_the_sky_stays_without_blossom() -> None:
    red, green, blue = means(make_pair(field(256), "spring", seed=1).edited[:80])
    assert blue > green > red
