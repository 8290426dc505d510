from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import edge_energy, low_frequency, mountain


def test_the_source_is_noisy_and_means_the_same() -> None:
    photo = mountain(256)
    pair = make_pair(photo, "denoise", seed=1)
    assert edge_energy(pair.source) > 1.5 * edge_energy(photo)
    assert np.abs(low_frequency(pair.source) - low_frequency(photo)).mean() < 5


def test_noise_can_be_seen_at_the_size_of_a_small_model_too() -> None:
    photo = np.full((256, 256, 3), 120, np.uint8)
    source = make_pair(photo, "denoise", seed=1).source.astype(float)
    halves = source.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert halves.std() > 10
