"""The editor stage on data sets: from a folder of pairs to a bundle that edits."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from editar_cli.checkpoints.native import load_bundle
from editar_cli.errors import TrainingError
from editar_cli.training.run import plan, train
from tests.training.pair_files import picture, published_rows, write_arrow, write_folder
from tests.training.stages import read_figures

RECIPE = """
cache = "run"
validation_pairs = 4
[[data]]
kind = "folder"
[schedule]
steps = 12
batch_size = 4
learning_rate = 3e-3
warmup = 2
[run]
device = "cpu"
dtype = "float32"
log_every = 1
validate_every = 1000
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "mine.toml"
    file.write_text(RECIPE)
    return file


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "pairs", 16)


def run_on(
    data: Path, recipe: Path, start: Path, output: Path, *changes: str, **options: Any
) -> Path:
    train(
        "editor", recipe=recipe, data=data, output=output, init=start, overrides=changes, **options
    )
    return output


@pytest.fixture(scope="module")
def run(pairs: Path, recipe: Path, tiny_bundle: Path, tmp_path_factory: Any) -> Path:
    return run_on(pairs, recipe, tiny_bundle, tmp_path_factory.mktemp("runs") / "run")


def test_a_bundle_learns_from_a_folder_of_pairs(run: Path, tiny_bundle: Path):
    losses = read_figures(run)["cross_entropy"]
    assert len(losses) == 12 and np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3
    before, after = load_bundle(tiny_bundle), load_bundle(run / "bundle")
    assert after.config.transformer == before.config.transformer
    assert not torch.equal(
        after.transformer.head.weight, before.transformer.head.weight.half().float()
    )


def test_the_recipe_and_the_report_on_the_data_lie_beside_the_checkpoint(run: Path):
    saved = json.loads((run / "recipe.json").read_text())
    assert saved["data"][0]["kind"] == "folder" and saved["cache"] == "run"
    assert json.loads((run / "data.json").read_text())["findings"] == []
    assert (run / "cache" / "codes.sqlite").stat().st_size > 0
    assert set(read_figures(run)) >= {"val_cross_entropy", "val_cross_entropy_folder"}


def test_an_interrupted_run_on_sets_ends_like_the_undisturbed_one(
    run: Path, pairs: Path, recipe: Path, tiny_bundle: Path, tmp_path: Path
):
    def interrupt(step: int, steps: int, figures: dict[str, float]) -> None:
        if "loss" in figures and step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match="stopped at step"):
        run_on(pairs, recipe, tiny_bundle, tmp_path / "run", report=interrupt)
    run_on(pairs, recipe, tiny_bundle, tmp_path / "run", resume=True)
    whole, parts = (
        load_file(f / "bundle" / "transformer.safetensors") for f in (run, tmp_path / "run")
    )
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_codes_kept_from_another_run_change_nothing(
    run: Path, pairs: Path, recipe: Path, tiny_bundle: Path, tmp_path: Path
):
    for change in ("cache=", f"cache={run / 'cache'}"):
        output = tmp_path / change.replace("/", "-")
        run_on(pairs, recipe, tiny_bundle, output, change, "schedule.steps=3", "schedule.decay=0.0")
        assert read_figures(output)["loss"][:3] == read_figures(run)["loss"][:3]


def test_the_edges_of_canny_are_those_the_start_was_trained_with(
    recipe: Path, tiny_bundle: Path, tmp_path: Path
):
    folder = write_arrow(tmp_path / "set", published_rows("multigen-canny", 16))
    output = run_on(
        folder, recipe, tiny_bundle, tmp_path / "run", "data.0.kind=multigen-canny",
        "schedule.steps=1",
    )  # fmt: skip
    assert read_figures(output)["val_cross_entropy_multigen-canny"][0] > 0


def test_bad_rows_end_the_command_with_what_to_do(
    recipe: Path, tiny_bundle: Path, tmp_path: Path, call_editar: Any
):
    folder = write_folder(tmp_path / "pairs", 16)
    (folder / "source" / "p003.png").write_bytes(picture(1)[:99])
    words = ["train", "editor", "--data", folder, "--recipe", recipe, "--init", tiny_bundle]
    words += ["-o", tmp_path / "run", "--set", "schedule.steps=1"]
    result = call_editar(*words)
    assert result.returncode == 1 and b"--skip-bad trains without them" in result.stderr
    assert b"p003: source: cannot be read" in result.stderr
    result = call_editar(*words, "--skip-bad")
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode() == f"{tmp_path / 'run'}\n"


def test_a_plan_says_where_samples_come_from_and_what_is_trained(
    pairs: Path, recipe: Path, tiny_bundle: Path
):
    text = plan("editor", recipe=recipe, data=pairs, init=tiny_bundle)
    first, trained, memory, time = text.splitlines()
    assert first == f"folder: 100 %, 48 samples of 14 rows, 3.43 passes ({pairs})"
    values = sum(p.numel() for p in load_bundle(tiny_bundle).transformer.parameters())
    assert trained == f"trained: {values:,} of {values:,} values"
    assert memory.startswith("memory on cpu: about") and "activations" in memory
    assert "s a step of 4 samples; 12 steps take" in time


def test_photographs_are_asked_for_where_the_recipe_names_no_sets(
    tiny_bundle: Path, tmp_path: Path
):
    said = r"give a folder with photos/ with --data, or a recipe with \[\[data\]\]"
    with pytest.raises(TrainingError, match=said):
        train("editor", recipe=None, data=None, output=tmp_path / "run", init=tiny_bundle)
