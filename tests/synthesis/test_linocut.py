from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, light, mountain


def test_there_is_ink_and_paper_and_little_between() -> None:
    for photo in (mountain(256), city(256)):
        tones = light(make_pair(photo, "linocut", seed=1).edited)
        ink, paper = (tones < 60).mean(), (tones > 200).mean()
        assert ink > 0.15 and paper > 0.15 and ink + paper > 0.8
