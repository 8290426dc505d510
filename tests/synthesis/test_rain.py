from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, field, light, low_frequency, mountain


def test_rain_dims_and_greys_the_scene() -> None:
    for photo in (mountain(256), field(256)):
        edited = make_pair(photo, "rain", seed=1).edited
        assert light(edited).mean() < 0.85 * light(photo).mean()
        assert chroma(edited).mean() < 0.5 * chroma(photo).mean()


def test_streaks_fall_differently_for_each_seed_and_leave_the_cells_alike() -> None:
    photo = mountain(256)
    first = make_pair(photo, "rain", seed=1).edited
    second = make_pair(photo, "rain", seed=2).edited
    assert (np.abs(light(first) - light(second)) > 12).mean() > 0.03
    assert np.abs(low_frequency(first) - low_frequency(second)).mean() < 6


def test_streaks_run_down_the_picture() -> None:
    edited = light(make_pair(np.full((256, 256, 3), 90, np.uint8), "rain", seed=1).edited)
    across = np.abs(np.diff(edited, axis=1)).mean()
    down = np.abs(np.diff(edited, axis=0)).mean()
    assert across > 1.5 * down
