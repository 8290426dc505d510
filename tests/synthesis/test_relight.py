from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light, mountain


def test_the_source_is_far_too_dark() -> None:
    for photo in (mountain(128), field(128)):
        source = make_pair(photo, "relight", seed=1).source
        assert light(source).mean() < 0.35 * light(photo).mean()
