from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, field, light


def test_a_soft_gradient_becomes_a_few_flat_tones() -> None:
    ramp = np.linspace(20, 235, 256, dtype=np.float32)
    photo = np.repeat(np.tile(ramp, (64, 1))[..., None], 3, axis=2).astype(np.uint8)
    edited = light(make_pair(photo, "cartoon", seed=1).edited)[32]
    assert (np.abs(np.diff(edited)) < 0.5).mean() > 0.6


def test_borders_are_drawn_dark_and_colours_grow() -> None:
    photo = np.full((128, 128, 3), (170, 180, 200), np.uint8)
    photo[40:90, 40:90] = (120, 90, 60)
    edited = make_pair(photo, "cartoon", seed=1).edited
    assert light(edited)[40:90, 38:44].min() < 40
    assert chroma(edited)[55:75, 55:75].mean() > chroma(photo)[55:75, 55:75].mean()
    assert make_pair(field(64), "cartoon", seed=1).edited.std() > 20
