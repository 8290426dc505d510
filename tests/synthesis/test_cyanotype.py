from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import city, light


def test_tones_run_from_prussian_blue_to_white_in_the_order_of_the_light() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(8, axis=0)
    edited = make_pair(ramp, "cyanotype", seed=1).edited
    assert (np.diff(light(edited)[0]) >= -0.5).all()
    dark, pale = edited[0, 0].astype(int), edited[0, -1].astype(int)
    assert dark[2] > dark[0] + 50 and pale.min() > 230


def test_nothing_is_redder_than_blue() -> None:
    edited = make_pair(city(128), "cyanotype", seed=1).edited.astype(int)
    assert (edited[..., 0] <= edited[..., 2] + 1).all()
