from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import mountain


def test_the_negative_inverts_exactly() -> None:
    photo = mountain(64)
    edited = make_pair(photo, "negative", seed=1).edited
    assert np.array_equal(edited, 255 - photo)
    assert np.array_equal(make_pair(edited, "negative", seed=2).edited, photo)
