from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair


def test_dark_is_blue_violet_middle_magenta_and_light_cyan() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(32, axis=0)
    edited = make_pair(ramp, "neon", seed=1).edited[16].astype(int)
    assert edited[60, 2] > edited[60, 1] + 40
    assert edited[136, 0] > edited[136, 1] + 60 and edited[136, 2] > edited[136, 1] + 60
    assert edited[195, 1] > edited[195, 0] + 30 and edited[195, 2] > edited[195, 0] + 30
