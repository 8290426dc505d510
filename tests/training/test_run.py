from pathlib import Path

import pytest
import torch

from editar_cli.errors import TrainingError, UsageError
from editar_cli.training.run import choose_device, train


def test_an_unknown_stage_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="train adapter: must be tokenizer, depth or editor"):
        train("adapter", recipe=None, data=tmp_path, output=tmp_path / "run")


@pytest.mark.parametrize("stage", ["tokenizer", "editor"])
def test_a_wrong_override_ends_before_anything_is_written(tmp_path: Path, stage: str):
    with pytest.raises(UsageError, match="unknown key 'speed'"):
        train(stage, recipe=None, data=tmp_path, output=tmp_path / "run", overrides=["speed=3"])
    assert not (tmp_path / "run").exists()


def test_missing_photographs_are_named(tmp_path: Path):
    with pytest.raises(TrainingError, match="no such folder of photographs"):
        train("tokenizer", recipe=None, data=tmp_path, output=tmp_path / "run")


def test_a_named_device_is_taken_and_auto_finds_one():
    assert choose_device("cpu") == torch.device("cpu")
    best = choose_device("auto").type
    assert best == ("cuda" if torch.cuda.is_available() else best)
    assert best in {"cuda", "mps", "cpu"}
