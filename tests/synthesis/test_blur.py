from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, edge_energy, light, low_frequency


def test_blur_takes_the_detail_and_leaves_the_light() -> None:
    photo = city(256)
    edited = make_pair(photo, "blur", seed=1).edited
    assert edge_energy(edited) < 0.5 * edge_energy(photo)
    assert np.abs(np.diff(light(edited), axis=0)).max() < 20
    assert np.abs(low_frequency(edited) - low_frequency(photo)).mean() < 6
