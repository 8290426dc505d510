from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, edge_energy, field, light, mountain


def test_it_is_light_and_soft() -> None:
    for photo in (mountain(256), field(256), city(256)):
        edited = make_pair(photo, "dreamy", seed=1).edited
        assert light(edited).mean() > light(photo).mean() + 20
        assert edge_energy(edited) < 0.8 * edge_energy(photo)
