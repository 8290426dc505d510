from __future__ import annotations

import numpy as np

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import light


def test_greys_of_the_source_have_one_of_several_casts() -> None:
    photo = np.full((32, 32, 3), 130, np.uint8)
    sources = [make_pair(photo, "white_balance", seed=seed).source for seed in range(12)]
    casts = {int(np.argmax(s.mean(axis=(0, 1)))) for s in sources}
    assert casts == {0, 1, 2}
    for source in sources:
        assert np.ptp(source.mean(axis=(0, 1))) > 25
        assert abs(light(source).mean() - 130) < 25
