from __future__ import annotations

from editar_cli.synthesis import make_pair
from tests.synthesis.painted_photos import chroma, mountain


def test_the_source_is_grey() -> None:
    for seed in range(3):
        pair = make_pair(mountain(64), "colourise", seed=seed)
        assert chroma(pair.source).max() == 0 and chroma(pair.edited).mean() > 20
