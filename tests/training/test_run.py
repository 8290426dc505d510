from pathlib import Path

import pytest
import torch

from editar_cli.errors import TrainingError, UsageError
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.training.recipe import TokenizerRecipe, load_recipe
from editar_cli.training.run import choose_device, plan, train
from tests.training.painted_data import write_data
from tests.training.stages import TOKENIZER_RECIPE


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


def test_a_plan_counts_what_a_run_would_take_and_leaves_nothing(tmp_path: Path):
    data = write_data(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    text = plan("tokenizer", recipe=TOKENIZER_RECIPE, data=data)
    shape = load_recipe(TokenizerRecipe, TOKENIZER_RECIPE).model
    values = sum(p.numel() for p in VQTokenizer(VQConfig(**shape)).parameters())
    assert f"trained: {values:,} of {values:,} values" in text
    assert "s a step of 8 samples; 40 steps take" in text
    assert sorted(tmp_path.rglob("*")) == before
