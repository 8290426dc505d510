from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, edge_energy, field, mountain


def test_edges_are_stronger() -> None:
    for photo in (mountain(256), field(256), city(256)):
        assert edge_energy(make_pair(photo, "sharpen", seed=1).edited) > 1.35 * edge_energy(photo)
