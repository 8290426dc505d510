from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, field, light, mountain


def test_the_sky_is_dark_and_cold() -> None:
    for photo in (mountain(256), field(256), city(256)):
        sky = make_pair(photo, "storm", seed=1).edited[:70]
        assert light(sky).mean() < 0.65 * light(photo[:70]).mean()
        assert sky[..., 2].mean() > sky[..., 0].mean()


def test_clouds_differ_from_seed_to_seed() -> None:
    skies = [light(make_pair(field(128), "storm", seed=seed).edited[:40]) for seed in (1, 2)]
    assert abs(skies[0] - skies[1]).mean() > 3
