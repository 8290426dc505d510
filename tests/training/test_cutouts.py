from pathlib import Path

import pytest

from editar_cli.errors import TrainingError
from editar_cli.training.cutouts import split_cutouts
from tests.synthesis.painted_cutouts import write_cutouts

NAMES = tuple(f"{word} thing" for word in "red old new tall wide odd flat round".split())


def test_kept_out_things_are_shown_and_those_of_training_drawn(tmp_path: Path):
    train, kept = split_cutouts(write_cutouts(tmp_path / "cutouts", NAMES), 4)
    assert [c.noun for c in kept.shown] == ["old thing", "odd thing"]
    assert len(train.shown) == 6 and not {c.noun for c in train.shown} & {"old thing", "odd thing"}
    assert train.shown == train.drawn == kept.drawn


def test_missing_or_too_few_cutouts_are_told(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"no folder of cut-outs.*set local_share to 0"):
        split_cutouts(tmp_path / "cutouts", 8)
    few = write_cutouts(tmp_path / "few", ("dog", "cat"))
    with pytest.raises(TrainingError, match="2 usable cut-outs leave none to validate"):
        split_cutouts(few, 8)
