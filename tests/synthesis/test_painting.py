from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light, low_frequency


def test_painting_flattens_texture_and_keeps_the_composition() -> None:
    noise = np.random.default_rng(0).normal(0, 14, (256, 256, 1))
    photo = np.clip(field(256) + noise, 0, 255).astype(np.uint8)
    edited = make_pair(photo, "painting", seed=1).edited
    steps = np.abs(np.diff(light(photo)[:90], axis=1)).mean()
    assert np.abs(np.diff(light(edited)[:90], axis=1)).mean() < 0.4 * steps
    assert np.abs(low_frequency(edited) - low_frequency(photo)).mean() < 25
