from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, city, light, mountain


def test_the_source_is_pale_and_reddish() -> None:
    for photo in (mountain(128), city(128)):
        source = make_pair(photo, "unfade", seed=1).source
        assert light(source).min() > 40
        assert light(source).std() < 0.75 * light(photo).std()
        gain = source.astype(float).mean(axis=(0, 1)) - photo.astype(float).mean(axis=(0, 1))
        assert gain[0] > gain[2] + 10
    assert (
        chroma(make_pair(mountain(128), "unfade", seed=1).source).mean()
        < 0.8 * chroma(mountain(128)).mean()
    )
