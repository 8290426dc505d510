from __future__ import annotations

import numpy as np
import pytest

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, light


def test_corners_are_dark_and_the_middle_is_as_it_was() -> None:
    photo = field(256)
    edited = make_pair(photo, "vignette", seed=1).edited
    ratio = light(edited) / np.maximum(light(photo), 1)
    corners = [ratio[y : y + 16, x : x + 16].mean() for y in (0, 240) for x in (0, 240)]
    assert max(corners) < 0.3
    assert ratio[112:144, 112:144].mean() == pytest.approx(1, abs=0.02)
