from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, edge_energy, field


def test_a_band_stays_sharp_and_the_rest_is_blurred() -> None:
    photo = np.random.default_rng(1).integers(60, 200, (256, 256, 3), dtype=np.uint8)
    edited = make_pair(photo, "miniature", seed=1).edited
    sharp = edge_energy(edited[140:158]) / edge_energy(photo[140:158])
    blurred = [edge_energy(edited[a:b]) / edge_energy(photo[a:b]) for a, b in ((0, 60), (236, 256))]
    assert sharp > 0.9 and max(blurred) < 0.15


def test_colours_are_those_of_toys() -> None:
    photo = field(256)
    edited = make_pair(photo, "miniature", seed=1).edited
    assert chroma(edited).mean() > 1.3 * chroma(photo).mean()
