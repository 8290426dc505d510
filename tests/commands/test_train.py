from pathlib import Path

import pytest
from typer.testing import CliRunner

from editar_cli.commands import train


@pytest.fixture
def called(monkeypatch):
    """What `training.run.train` was called with."""
    calls = []

    def record(stage, *, report, notice, **settings):
        report(1, 10, {"loss": 2.5})
        notice("a row is bad")
        calls.append({"stage": stage, **settings})
        return "the plan"

    monkeypatch.setattr("editar_cli.training.run.train", record)
    monkeypatch.setattr("editar_cli.training.run.plan", record)
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
    assert "warning: a row is bad" in result.stderr


def test_a_dry_run_prints_the_plan_and_trains_nothing(called):
    words = ["editor", "-o", "run", "--recipe", "lora", "--init", "mini", "--dry-run"]
    result = CliRunner().invoke(train.app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout == "the plan\n"
    assert "output" not in called[0] and called[0]["init"] == Path("mini")


def test_skipping_bad_rows_is_a_part_of_the_recipe(called):
    words = ["editor", "-o", "run", "--skip-bad", "--set", "cache=run"]
    assert CliRunner().invoke(train.app, words).exit_code == 0
    assert called[0]["overrides"] == ["cache=run", "skip_bad=true"]


def test_output_is_asked_for():
    result = CliRunner().invoke(train.app, ["tokenizer"])
    assert result.exit_code == 2
    assert "--output" in result.output


@pytest.mark.parametrize("stage", ["tokenizer", "depth"])
def test_photographs_are_asked_for(call_editar, stage):
    result = call_editar("train", stage, "-o", "run")
    assert result.returncode == 2
    assert b"give a folder with photos/ with --data" in result.stderr


def test_a_bad_recipe_is_wrong_usage(call_editar, tmp_path):
    (tmp_path / "r.toml").write_text("nonsense = 1\n")
    result = call_editar("train", "tokenizer", "--data", ".", "-o", "run", "--recipe", "r.toml")
    assert result.returncode == 2
    assert b"nonsense" in result.stderr
    assert not (tmp_path / "run").exists()
