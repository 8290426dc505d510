from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import mountain


def test_the_source_has_light_and_dark_marks_on_a_small_part() -> None:
    photo = mountain(256)
    for seed in range(4):
        source = make_pair(photo, "scratches", seed=seed).source.astype(int)
        lighter, darker = source.mean(axis=2) - photo.mean(axis=2) > 25, None
        darker = photo.mean(axis=2) - source.mean(axis=2) > 25
        assert 0.005 < lighter.mean() < 0.25 and 0.0005 < darker.mean() < 0.1
        assert np.median(np.abs(source - photo)) == 0
