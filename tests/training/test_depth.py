import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from editar_cli.errors import TrainingError, UsageError
from editar_cli.modes._controlnet import stretched
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes._small_depth import load_small_depth
from editar_cli.training.depth import DepthStage, SceneDataset, picture_of
from editar_cli.training.recipe import DepthRecipe, load_recipe
from editar_cli.training.run import train
from tests.training.painted_data import painted_photo, write_data
from tests.training.stages import read_figures

RECIPE = """
keep_out_every = 6
validation_scenes = 6

[model]
image_size = 32
widths = [8, 12, 16]

[schedule]
steps = 24
batch_size = 6
learning_rate = 5e-3
warmup = 3

[run]
device = "cpu"
dtype = "float32"
workers = 0
log_every = 1
validate_every = 1000
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("depth") / "tiny-depth.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("depth") / "data", photos=6, scenes=6)
    (folder / "cutouts").mkdir()
    thing = np.dstack([painted_photo(9), np.full(painted_photo(9).shape[:2], 255, np.uint8)])
    Image.fromarray(thing).save(folder / "cutouts" / "thing.webp")
    return folder


@pytest.fixture(scope="module")
def run(recipe_file: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth") / "run"
    train("depth", recipe=recipe_file, data=data, output=folder)
    return folder


def stage(recipe_file: Path, data: Path, *changes: str) -> DepthStage:
    recipe = load_recipe(DepthRecipe, recipe_file, changes)
    return DepthStage(recipe, data, device=torch.device("cpu"))


def scenes(stage: DepthStage, seed: int = 0) -> SceneDataset:
    return SceneDataset(
        stage.recipe, stage.train_photos, stage.train_scenes, stage.cutouts, seed=seed, length=50
    )


def test_the_stage_learns(run: Path):
    figures = read_figures(run)
    assert len(figures["loss"]) == len(figures["absolute"]) == 24
    for name in ("loss", "absolute"):
        assert np.mean(figures[name][-5:]) < 0.8 * np.mean(figures[name][:5]), name


def test_the_last_validation_has_a_figure_and_a_sheet(run: Path):
    (rmse,) = read_figures(run)["val_rmse"]
    assert 5 < rmse < 110, "better than the 128 or so of a map the other way round"
    # Picture, truth and map of the scenes, then a photograph and its map.
    assert Image.open(run / "sheet-000024.png").size[1] == 5 * (32 + 4)


def test_the_result_is_half_precision_with_its_shape_beside_it(run: Path):
    with safe_open(run / "depth.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
    assert config == {"image_size": 32, "widths": [8, 12, 16]}
    stored = load_file(run / "depth.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}


def test_the_result_is_what_the_extractor_small_loads(run: Path, recipe_file: Path, data: Path):
    extract = load_small_depth(ExtractorSettings(weights=run))
    trained = stage(recipe_file, data)
    stored = load_file(run / "depth.safetensors")
    trained.module.load_state_dict({name: value.float() for name, value in stored.items()})
    picture = np.ascontiguousarray(painted_photo(3)[:32, :32])
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        wanted = stretched(trained.module(pixels)[0, 0].numpy())
    assert np.abs(extract(picture).astype(int) - wanted).max() <= 1
    found = extract(picture)[..., 0].astype(float)
    assert found[-8:].mean() > found[:8].mean() + 40, "it has seen what is near"


def test_an_interrupted_run_ends_bit_for_bit_like_the_undisturbed_one(
    run: Path, recipe_file: Path, data: Path, tmp_path: Path
):
    def interrupt(step: int, steps: int, figures: dict[str, float]) -> None:
        if "loss" in figures and step == 11:
            os.kill(os.getpid(), signal.SIGINT)

    output = tmp_path / "run"
    with pytest.raises(TrainingError, match="stopped at step 1"):
        train("depth", recipe=recipe_file, data=data, output=output, report=interrupt)
    train("depth", recipe=recipe_file, data=data, output=output, resume=True)
    whole, parts = (load_file(f / "depth.safetensors") for f in (run, output))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_a_scene_is_a_function_of_seed_and_number(recipe_file: Path, data: Path):
    made = stage(recipe_file, data)
    first, other = scenes(made), scenes(made, seed=1)
    later = {i: scenes(made)[i] for i in reversed(range(6))}
    for i in range(6):
        pixels, near = first[i]
        assert torch.equal(pixels, later[i][0]) and torch.equal(near, later[i][1])
        assert pixels.shape == (3, 32, 32) and pixels.dtype == torch.uint8
        assert near.shape == (1, 32, 32) and near.dtype == torch.float32
        assert (near.min(), near.max()) == (0, 1)
    assert any(not torch.equal(first[i][0], other[i][0]) for i in range(6))


def test_rendered_scenes_give_the_root_of_their_inverse_depth(recipe_file: Path, data: Path):
    made = scenes(stage(recipe_file, data, "scene_share=1.0"))
    for i in range(4):
        near = made[i][1][0]
        # The painted maps rise evenly from row to row, so their squares do.
        rows = near.square().mean(1)
        assert (rows - torch.linspace(0, 1, 32)).abs().max() < 0.04


def test_without_rendered_scenes_drawn_all_are_landscapes(
    recipe_file: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    made = scenes(stage(recipe_file, data, "scene_share=0.0"))
    made.scenes = [(np.zeros(1), np.zeros(1))]  # would fail if one were taken
    assert all(made[i][1].max() == 1 for i in range(5))


def test_a_scenes_picture_lies_beside_its_depth():
    assert picture_of(Path("a/0001.depth.png")) == Path("a/0001.jpg")


def test_missing_scenes_are_refused(recipe_file: Path, tmp_path: Path):
    bare = write_data(tmp_path / "data", photos=6)
    with pytest.raises(TrainingError, match=r"scenes: no rendered scenes .*render_folder"):
        train("depth", recipe=recipe_file, data=bare, output=tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "said"),
    [("model.depth=3", "depth"), ("model.widths=[8]", "sizes"), ("model.widths=[8, 10]", "sizes")],
)
def test_a_shape_that_cannot_be_built_is_refused(
    recipe_file: Path, data: Path, change: str, said: str
):
    with pytest.raises(TrainingError, match=rf"recipe \[model\]: .*{said}"):
        stage(recipe_file, data, change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("scene_share=1.5", "scene_share 1.5: must be between 0 and 1"),
        ("validation_scenes=0", "validation_scenes 0: must be above 0"),
        ("keep_out_every=0", "keep_out_every 0: must be above 0"),
    ],
)
def test_a_recipe_out_of_range_says_so(recipe_file: Path, change: str, said: str):
    with pytest.raises(UsageError, match=said):
        load_recipe(DepthRecipe, recipe_file, [change])


def test_a_start_is_refused(recipe_file: Path, data: Path, run: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="the depth network starts from nothing"):
        train("depth", recipe=recipe_file, data=data, output=tmp_path / "run", init=run)
