from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, light, mountain


def test_brighter_raises_the_light_and_darker_lowers_it() -> None:
    for photo in (mountain(128), city(128)):
        source = light(photo).mean()
        assert light(make_pair(photo, "brighter", seed=1).edited).mean() > 1.3 * source
        assert light(make_pair(photo, "darker", seed=1).edited).mean() < 0.5 * source


def test_the_order_of_tones_is_kept() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(8, axis=0)
    for name in ("brighter", "darker"):
        edited = make_pair(ramp, name, seed=1).edited[0, :, 0].astype(int)
        assert (np.diff(edited) >= 0).all()
