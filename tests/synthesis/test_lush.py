from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import means


def test_dry_ground_turns_green_and_the_sky_stays_blue() -> None:
    photo = np.full((128, 128, 3), (150, 190, 230), np.uint8)
    rows = np.arange(60, 128)[:, None]
    speckle = 18 * np.sin(rows * 1.9) * np.sin(np.arange(128)[None] * 1.7)
    photo[60:] = np.clip(np.array([130, 105, 60]) + speckle[..., None], 0, 255).astype(np.uint8)
    edited = make_pair(photo, "lush", seed=1).edited
    red, green, blue = means(edited[75:])
    assert green > 1.3 * red and green > 1.3 * blue
    red, green, blue = means(edited[:45])
    assert blue > green > red
