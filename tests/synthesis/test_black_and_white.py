from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, edge_energy, field


def test_black_and_white_has_no_colour_and_keeps_the_detail() -> None:
    photo = field(128)
    edited = make_pair(photo, "black_and_white", seed=1).edited
    assert chroma(edited).max() == 0
    assert edge_energy(edited) > 0.9 * edge_energy(photo)
