from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, light, mountain


def test_nothing_is_dark() -> None:
    for photo in (mountain(128), city(128)):
        tones = light(make_pair(photo, "pastel", seed=1).edited)
        assert tones.min() > 130 and tones.mean() < 235


def test_hues_stay_apart() -> None:
    edited = make_pair(mountain(128), "pastel", seed=1).edited.astype(int)
    sky, grass = edited[:20].mean(axis=(0, 1)), edited[-20:].mean(axis=(0, 1))
    assert sky[2] - sky[1] > grass[2] - grass[1] + 25
