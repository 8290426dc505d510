from __future__ import annotations

import numpy as np

from editar_cli.synthesis import EFFECTS, make_pair
from tests.synthesis.painted_photos import mountain


def test_a_repair_of_what_is_whole_changes_nothing() -> None:
    photo = mountain(64)
    for seed in range(6):
        pair = make_pair(photo, "needless", seed=seed)
        assert np.array_equal(pair.source, photo) and np.array_equal(pair.edited, photo)
        assert not pair.mask.any()


def test_sentences_are_those_of_repairs() -> None:
    repairs = [effect for effect in EFFECTS.values() if effect.kind == "restoration"]
    said = {text for effect in repairs for text in effect.instructions}
    assert set(EFFECTS["needless"].instructions) < said
