from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, edge_energy, mountain


def test_the_source_is_soft() -> None:
    for photo in (mountain(256), city(256)):
        source = make_pair(photo, "deblur", seed=1).source
        assert edge_energy(source) < 0.85 * edge_energy(photo)
