from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import mountain


def test_blocks_are_of_one_colour_each_and_keep_the_mean() -> None:
    photo = mountain(320)
    edited = make_pair(photo, "pixelate", seed=1).edited
    blocks = edited.reshape(20, 16, 20, 16, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    means = photo.reshape(20, 16, 20, 16, 3).mean(axis=(1, 3))
    assert np.abs(blocks[:, 0, :, 0] - means).max() <= 1
