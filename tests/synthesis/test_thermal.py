from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair


def test_dark_is_violet_and_light_is_yellow_to_white() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(32, axis=0)
    edited = make_pair(ramp, "thermal", seed=1).edited[16].astype(int)
    dark, middle, light = edited[40], edited[140], edited[215]
    assert dark[2] > dark[1] + 40 and dark[0] > dark[1]
    assert middle[0] > middle[1] + 60 and middle[0] > middle[2] + 30
    assert light[0] > 230 and light[1] > 180 and light[2] < 160
    assert edited[255].min() > 225
