from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light, mountain


def test_the_source_is_paler_and_flatter() -> None:
    for photo in (mountain(256), field(256)):
        source = make_pair(photo, "dehaze", seed=1).source
        assert light(source).std() < 0.8 * light(photo).std()
        assert light(source).min() > light(photo).min() + 20
