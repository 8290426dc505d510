from pathlib import Path

import pytest
from typer.testing import CliRunner

from editar_cli.commands import train


@pytest.fixture
def called(monkeypatch):
    """What `training.run.train` was called with."""
    calls = []

    def record(stage, *, report, **settings):
        report(1, 10, {"loss": 2.5})
        calls.append({"stage": stage, **settings})

    monkeypatch.setattr("editar_cli.training.run.train", record)
    return calls


@pytest.mark.parametrize("stage", ["tokenizer", "editor"])
def test_each_stage_hands_its_words_on(called, stage):
    words = [stage, "--data", "photos", "-o", "run", "--recipe", "r.toml", "--init", "bundle"]
    result = CliRunner().invoke(
        train.app, [*words, "--resume", "--set", "schedule.steps=3", "--set", "run.seed=1"]
    )
    assert result.exit_code == 0, result.output
    assert called == [
        {
            "stage": stage,
            "data": Path("photos"),
            "output": Path("run"),
            "recipe": Path("r.toml"),
            "init": Path("bundle"),
            "resume": True,
            "overrides": ["schedule.steps=3", "run.seed=1"],
        }
    ]
    assert result.stdout == "run\n"
    assert "1/10  loss 2.5" in result.stderr


def test_data_and_output_are_asked_for():
    result = CliRunner().invoke(train.app, ["tokenizer"])
    assert result.exit_code == 2
    assert "--data" in result.output


def test_a_bad_recipe_is_wrong_usage(call_editar, tmp_path):
    (tmp_path / "r.toml").write_text("nonsense = 1\n")
    result = call_editar("train", "tokenizer", "--data", ".", "-o", "run", "--recipe", "r.toml")
    assert result.returncode == 2
    assert b"nonsense" in result.stderr
    assert not (tmp_path / "run").exists()
