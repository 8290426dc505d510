from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import mountain


def test_pop_art_prints_with_four_inks() -> None:
    inks = np.array([(23, 15, 92), (219, 26, 122), (255, 148, 26), (255, 242, 158)])
    ramp = np.linspace(0, 255, 256, dtype=np.float32)
    photo = np.repeat(np.tile(ramp, (32, 1))[..., None], 3, axis=2).astype(np.uint8)
    edited = make_pair(photo, "pop_art", seed=1).edited.reshape(-1, 3).astype(int)
    distance = np.abs(edited[:, None] - inks[None]).max(axis=2)
    assert (distance.min(axis=1) <= 3).mean() > 0.75
    assert set(distance.argmin(axis=1)) == {0, 1, 2, 3}
    assert make_pair(mountain(32), "pop_art", seed=1).edited.std() > 20
