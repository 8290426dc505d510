from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import field, means, mountain


def test_green_ground_turns_orange() -> None:
    for photo in (field(256), mountain(256)):
        red, green, blue = means(make_pair(photo, "autumn", seed=1).edited[190:])
        assert red > 1.3 * green > 1.3 * 1.3 * blue


def test_the_sky_is_only_toned() -> None:
    photo = field(256)
    edited = make_pair(photo, "autumn", seed=1).edited
    sky = np.abs(edited[:80].astype(int) - photo[:80]).mean()
    ground = np.abs(edited[150:].astype(int) - photo[150:]).mean()
    assert ground > 1.3 * sky
