import csv
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from editar_cli.errors import TrainingError
from editar_cli.models.vq import VQTokenizer
from editar_cli.training import tokenizer as stage
from editar_cli.training.recipe import TokenizerRecipe, load_recipe
from editar_cli.training.run import train
from tests.modes.hed_files import write_controlnet
from tests.training.painted_data import painted_photo, write_data
from tests.training.stages import TOKENIZER_RECIPE, read_figures, read_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("tokenizer") / "data", photos=6, scenes=1)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(data, tmp_path_factory.mktemp("tokenizer") / "run")


def test_the_stage_learns_to_give_pictures_back(run: Path):
    pixels = read_figures(run)["pixels"]
    assert len(pixels) == 40
    assert np.mean(pixels[16:24]) < 0.95 * np.mean(pixels[:5]), "as an autoencoder"
    assert np.mean(pixels[-8:]) < 0.85 * np.mean(pixels[:5]), "with codes"


def test_codes_come_into_use_when_the_autoencoder_is_done(run: Path):
    with (run / "log.csv").open(newline="") as lines:
        steps = [int(r["step"]) for r in csv.DictReader(lines) if r["name"] == "codes_in_batch"]
    assert steps == list(range(25, 41))
    assert min(read_figures(run)["codes_in_batch"]) > 8


def test_the_last_validation_has_a_sheet_and_figures_in_light_colour_and_edges(run: Path):
    figures = read_figures(run)
    for name in ("val_psnr", "val_psnr_turned", "val_ab_error", "val_edge_f1", "val_codes_used"):
        assert len(figures[name]) == 1 and np.isfinite(figures[name][0])
    assert figures["val_psnr"][0] > 10
    assert Image.open(run / "sheet-000040.png").size[1] == 8 * (32 + 4)


def test_the_result_is_a_tokenizer_that_can_be_loaded(run: Path):
    model = read_tokenizer(run)
    assert model.config.downsampling == 4 and model.config.codebook_size == 48
    picture = torch.from_numpy(painted_photo(0)[:32, :32].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        back = model.decode(model.encode(picture))
    assert (back - picture).square().mean() < picture.square().mean(), "better than plain grey"


def test_a_warm_start_keeps_codebook_and_weights(run: Path, data: Path, tmp_path: Path):
    train(
        "tokenizer", recipe=TOKENIZER_RECIPE, data=data, output=tmp_path / "run", init=run,
        overrides=["schedule.steps=1", "schedule.learning_rate=1e-12", "schedule.weight_decay=0.0"],
    )  # fmt: skip
    before, after = read_tokenizer(run).state_dict(), read_tokenizer(tmp_path / "run").state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-6)
    assert "codes_in_batch" in read_figures(tmp_path / "run")


def test_a_start_of_another_shape_is_refused(run: Path, data: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match=r"tokenizer.safetensors: cannot start from it"):
        train(
            "tokenizer", recipe=TOKENIZER_RECIPE, data=data, output=tmp_path / "run", init=run,
            overrides=["model.channels=12"],
        )  # fmt: skip


def test_a_shape_that_cannot_be_built_is_refused(data: Path, tmp_path: Path):
    for change, said in (("model.width=3", "width"), ("model.norm_groups=5", "norm_groups 5")):
        with pytest.raises(TrainingError, match=rf"recipe \[model\]: .*{said}"):
            train(
                "tokenizer", recipe=TOKENIZER_RECIPE, data=data, output=tmp_path / "run",
                overrides=[change],
            )  # fmt: skip


def test_k_means_finds_the_clusters_of_the_sphere():
    noise = torch.Generator().manual_seed(0)
    middles = F.normalize(torch.randn(5, 6, generator=noise), dim=1)
    which = torch.arange(400) % 5
    points = F.normalize(middles[which] + 0.03 * torch.randn(400, 6, generator=noise), dim=1)
    # More centres than clusters, so that every cluster surely gets one.
    centres = stage.spherical_kmeans(points, 20, 10, seed=1)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(20))
    assert (points @ centres.T).max(1).values.min() > 0.97
    assert torch.equal(centres, stage.spherical_kmeans(points, 20, 10, seed=1))


def test_k_means_needs_as_many_points_as_centres():
    with pytest.raises(TrainingError, match="3 latents cannot start a codebook of 4 codes"):
        stage.spherical_kmeans(torch.eye(3), 4, 1, seed=0)


def test_signal_to_noise_in_decibel():
    black = np.zeros((4, 4, 3), np.uint8)
    assert stage.psnr(black, black) == 99.0
    assert stage.psnr(black, black + 255) == pytest.approx(0.0)
    assert stage.psnr(black, black + 51) == pytest.approx(20 * np.log10(5))


def test_chroma_error_sees_colour_and_not_light():
    grey, light, red = (np.full((4, 4, 3), v, np.uint8) for v in (90, 180, (200, 60, 60)))
    assert stage.chroma_error(grey, light) == pytest.approx(0.0, abs=0.1)
    assert stage.chroma_error(grey, red) > 40


def test_chroma_error_is_told_by_the_hue_of_the_truth():
    def plain(*colour: int):
        return np.full((4, 4, 3), colour, np.uint8)

    blue, orange = plain(30, 60, 220), plain(240, 140, 20)
    found = stage.chroma_error_by_hue([blue, orange, plain(99, 99, 99)], [blue, blue, blue])
    assert set(found) <= {"magenta_red", "orange_yellow", "green", "teal", "blue", "violet"}
    assert len(found) == 2 and sorted(found.values())[0] == 0.0
    assert found["orange_yellow"] > 80


def test_edges_are_scored_pixel_by_pixel():
    truth, found = np.zeros((2, 4, 4, 3), np.uint8)
    assert stage.edge_f1(truth, found) == 1.0
    truth[0, :4] = 255
    assert stage.edge_f1(truth, found) == 0.0
    found[0, :2] = found[1, :1] = 255
    # two of three found are right, two of four true ones are found
    assert stage.edge_f1(truth, found) == pytest.approx(2 * (2 / 3 * 0.5) / (2 / 3 + 0.5))


def test_a_tokenizer_is_what_the_stage_trains(data: Path):
    made = stage.TokenizerStage(
        load_recipe(TokenizerRecipe, TOKENIZER_RECIPE), data, device=torch.device("cpu")
    )
    assert isinstance(made.tokenizer, VQTokenizer)
    first = next(made.batches(0))
    assert first.shape == (8, 3, 32, 32) and first.min() >= -1 and first.max() <= 1
    # A run that goes on at step 1 sees what it would have seen.
    batches = made.batches(0)
    next(batches)
    assert torch.equal(next(made.batches(1)), next(batches))


SHARP = (
    "autoencoder_steps=0", "schedule.steps=8", "schedule.batch_size=4", "perceptual_weight=0.5",
    "adversarial_weight=0.1", "adversarial_start=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def sharp(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Changes to the recipe for a run with both losses that sharpen."""
    weights = write_controlnet(tmp_path_factory.mktemp("hed") / "ControlNetHED.pth")
    return (*SHARP, f"perceptual={weights}")


def train_sharp(data: Path, start: Path, output: Path, changes: tuple[str, ...], **more: Any):
    train(
        "tokenizer", recipe=TOKENIZER_RECIPE, data=data, output=output, init=start,
        overrides=changes, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sharp_run(
    data: Path, run: Path, sharp: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("tokenizer") / "sharp"
    train_sharp(data, run, output, sharp)
    return output


def test_losses_that_sharpen_are_logged_and_count(sharp_run: Path, run: Path):
    figures = read_figures(sharp_run)
    assert len(figures["perceptual"]) == len(figures["judge"]) == 8
    rest = np.array(figures["loss"]) - figures["pixels"] - figures["codebook"]
    perceptual = 0.5 * np.array(figures["perceptual"])
    assert min(figures["perceptual"]) > 0
    # Up to the step where it begins to count, the discriminator only learns.
    assert rest[:3] == pytest.approx(perceptual[:3], abs=1e-5)
    assert np.abs(rest - perceptual)[3:].min() > 1e-5
    before, after = read_tokenizer(run).state_dict(), read_tokenizer(sharp_run).state_dict()
    assert any(not torch.equal(value, after[name]) for name, value in before.items())


def test_the_discriminator_learns_and_is_in_the_checkpoint(
    sharp_run: Path, data: Path, run: Path, sharp: tuple[str, ...]
):
    kept = torch.load(sharp_run / "checkpoint.pt", weights_only=True)["stage"]
    assert kept.keys() == {"discriminator", "optimizer"}
    fresh = stage.TokenizerStage(
        load_recipe(TokenizerRecipe, TOKENIZER_RECIPE, sharp), data,
        device=torch.device("cpu"), init=run,
    )  # fmt: skip
    trained = kept["discriminator"]
    assert fresh.discriminator is not None
    for name, value in fresh.discriminator.named_parameters():
        assert not torch.equal(value, trained[name]), name
    fresh.load_state(kept)
    for name, value in fresh.state()["discriminator"].items():
        assert torch.equal(value, trained[name]), name


@pytest.mark.parametrize("last", [2, 5], ids=["before it counts", "after"])
def test_a_resumed_adversarial_run_ends_bit_for_bit_like_an_undisturbed_one(
    sharp_run: Path, data: Path, run: Path, sharp: tuple[str, ...], tmp_path: Path, last: int
):
    def interrupt(step: int, steps: int, figures: dict[str, float]) -> None:
        if "loss" in figures and step == last:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match=f"stopped at step {last}"):
        train_sharp(data, run, tmp_path / "run", sharp, report=interrupt)
    train_sharp(data, run, tmp_path / "run", sharp, resume=True)
    whole, parts = (
        torch.load(folder / "checkpoint.pt", weights_only=True)
        for folder in (sharp_run, tmp_path / "run")
    )
    for one, other in (
        (whole["module"], parts["module"]),
        (whole["stage"]["discriminator"], parts["stage"]["discriminator"]),
    ):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert torch.equal(value, other[name]), name


def test_a_run_without_a_discriminator_cannot_go_on_with_one(
    data: Path, run: Path, sharp: tuple[str, ...], tmp_path: Path
):
    plain = (*sharp, "adversarial_weight=0.0", "schedule.steps=1")
    train_sharp(data, run, tmp_path / "run", plain)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["stage"] == {}
    with pytest.raises(TrainingError, match="does not fit this recipe"):
        train_sharp(data, run, tmp_path / "run", sharp, resume=True)


def test_weights_of_the_perceptual_loss_that_are_missing_are_named(
    data: Path, run: Path, tmp_path: Path
):
    with pytest.raises(TrainingError, match=r"perceptual .*nowhere.pth: no such file"):
        train_sharp(data, run, tmp_path / "run", (*SHARP, f"perceptual={tmp_path}/nowhere.pth"))
