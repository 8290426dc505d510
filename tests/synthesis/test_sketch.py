from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, city, light, mountain


def test_a_sketch_is_grey_on_white_paper_with_dark_lines() -> None:
    for photo in (mountain(256), city(256)):
        edited = make_pair(photo, "sketch", seed=1).edited
        assert chroma(edited).max() <= 8
        assert np.quantile(light(edited), 0.9) > 215
        assert np.quantile(light(edited), 0.005) < 170


def test_a_flat_bright_surface_is_bare_paper() -> None:
    edited = make_pair(np.full((64, 64, 3), 200, np.uint8), "sketch", seed=1).edited
    assert light(edited).min() > 235
