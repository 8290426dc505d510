from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair


def test_cold_goes_teal_and_warm_goes_orange() -> None:
    photo = np.empty((64, 64, 3), np.uint8)
    photo[:, :32], photo[:, 32:] = (80, 100, 130), (190, 150, 120)
    edited = make_pair(photo, "teal_and_orange", seed=1).edited.astype(int)
    cold, warm = edited[:, :24].mean(axis=(0, 1)), edited[:, 40:].mean(axis=(0, 1))
    assert cold[1] > cold[0] + 30 and cold[2] > cold[0] + 30
    assert warm[0] > warm[1] + 20 > warm[2] + 60
