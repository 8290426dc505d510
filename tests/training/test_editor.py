import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from editar_cli.checkpoints.lora import LORA_WEIGHTS, LoraChoice
from editar_cli.checkpoints.minilm import write_minilm
from editar_cli.checkpoints.native import load_bundle
from editar_cli.conditioning import Dropped
from editar_cli.engine import Engine
from editar_cli.errors import TrainingError
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.synthesis.local import LOCAL_EFFECTS
from editar_cli.training import editor
from editar_cli.training.distillation import Teacher
from editar_cli.training.editor import load_start, noisy_context, teacher_forcing
from editar_cli.training.loop import CHECKPOINT
from editar_cli.training.recipe import EditorRecipe, load_recipe
from editar_cli.training.run import train
from tests.bert_files import write_tiny_bert
from tests.synthesis.painted_cutouts import write_cutouts
from tests.tiny_transformer import tiny_inputs, tiny_transformer
from tests.training.painted_data import painted_photo, write_data
from tests.training.stages import (
    EDITOR_RECIPE,
    TOKENIZER_RECIPE,
    read_figures,
    read_tokenizer,
    train_tokenizer,
)
from tests.training.teachers import write_teacher


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("editor") / "data", photos=6, scenes=1)


@pytest.fixture(scope="module")
def start(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the tokenizer stage with a text encoder beside it."""
    folder = train_tokenizer(data, tmp_path_factory.mktemp("editor") / "start")
    write_minilm(write_tiny_bert(folder / "bert"), folder / "text")
    return folder


def run_editor(data: Path, start: Path, output: Path, *changes: str, **options: Any) -> Path:
    train(
        "editor",
        recipe=EDITOR_RECIPE,
        data=data,
        output=output,
        init=start,
        overrides=changes,
        **options,
    )
    return output


@pytest.fixture(scope="module")
def run(data: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_editor(data, start, tmp_path_factory.mktemp("editor") / "run")


def test_the_last_positions_predict_the_targets_one_by_one():
    model = tiny_transformer()
    sources, text = tiny_inputs(model, 2)
    targets = tiny_inputs(model, 2, seed=1)[0]
    everything = Dropped.from_draw(torch.full((2,), 0.5))
    with torch.inference_mode():
        first = teacher_forcing(model, sources, targets, text, everything)
        changed = targets.clone()
        changed[:, 9] = (changed[:, 9] + 1) % model.config.vocab_size
        second = teacher_forcing(model, sources, changed, text, everything)
        last = targets.clone()
        last[:, -1] = 0
        third = teacher_forcing(model, sources, last, text, everything)
    assert first.logits.shape == (2, 16, 40) and first.hidden.shape == (2, 16, 32)
    # Target 9 is predicted at place 9 and seen from place 10 on.
    assert torch.equal(first.logits[:, :10], second.logits[:, :10])
    assert (first.logits[:, 10:] != second.logits[:, 10:]).any(-1).all()
    assert torch.equal(first.logits, third.logits), "the last target is never fed in"


def test_dropped_conditions_do_not_reach_the_predictions():
    model = tiny_transformer()
    sources, text = tiny_inputs(model, 3)
    targets = tiny_inputs(model, 3, seed=1)[0]
    dropped = Dropped.from_draw(torch.tensor([0.02, 0.07, 0.97]))
    with torch.inference_mode():
        first = teacher_forcing(model, sources, targets, text, dropped).logits
        other_image = teacher_forcing(model, sources.flip(1), targets, text, dropped).logits
        other_text = teacher_forcing(model, sources, targets, -text, dropped).logits
    same_image = (first == other_image).flatten(1).all(1)
    same_text = (first == other_text).flatten(1).all(1)
    assert same_image.tolist() == [True, True, False]
    assert same_text.tolist() == [True, False, True]


def test_the_stage_learns(run: Path):
    losses = read_figures(run)["cross_entropy"]
    assert len(losses) == 16
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])


def test_the_last_validation_tells_the_families_apart(run: Path):
    figures = read_figures(run)
    assert 0 < figures["val_cross_entropy"][0] < np.log(48) * 2
    assert 0 <= figures["val_accuracy"][0] <= 1
    assert sum(name.startswith("val_cross_entropy_") for name in figures) >= 2
    assert Image.open(run / "sheet-000016.png").height % (3 * (32 + 4)) == 0


def test_local_edits_are_learned_and_validated_where_there_are_cutouts(start: Path, tmp_path: Path):
    data = write_data(tmp_path / "data", photos=6)
    local = ("local_share=0.9", "map_share=0.0", "schedule.steps=2", "validation_pairs=12")
    with pytest.raises(TrainingError, match=r"cutouts: no folder of cut-outs"):
        run_editor(data, start, tmp_path / "run", *local)
    write_cutouts(data / "cutouts")
    figures = read_figures(run_editor(data, start, tmp_path / "run", *local))
    families = {name.removeprefix("val_cross_entropy_") for name in figures}
    assert len(families & set(LOCAL_EFFECTS)) >= 3


def test_the_bundle_loads_and_edits(run: Path):
    bundle = load_bundle(run / "bundle")
    assert (bundle.config.name, bundle.config.image_size, bundle.config.fit) == (
        "tiny", 32, "stretch",
    )  # fmt: skip
    assert bundle.config.training == {"data": "painted pictures"}
    assert (bundle.config.sampling.guidance, bundle.config.sampling.top_k) == (1.5, 8)
    stored = load_file(run / "bundle" / "transformer.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}

    picture = torch.from_numpy(painted_photo(1)[:32, :32].copy()).permute(2, 0, 1) / 127.5 - 1
    result = Engine(bundle).edit(
        picture.expand(2, -1, -1, -1), ["make it snowy", "at night"], [1, 2], bundle.config.sampling
    )
    assert result.edited_codes.shape == (2, 8, 8)
    assert result.decoded_edited.isfinite().all()


def test_the_bundle_holds_the_tokenizer_it_started_with(run: Path, start: Path):
    stored = load_bundle(run / "bundle").tokenizer.state_dict()
    for name, value in read_tokenizer(start).state_dict().items():
        assert torch.equal(stored[name], value.half().float()), name


def test_the_null_text_is_the_encoding_of_an_empty_prompt(run: Path):
    bundle = load_bundle(run / "bundle")
    empty = bundle.text_encoder.encode([""])[0]
    torch.testing.assert_close(bundle.transformer.null_text, empty, rtol=0, atol=2e-3)


def test_an_interrupted_run_ends_bit_for_bit_like_the_undisturbed_one(
    run: Path, data: Path, start: Path, tmp_path: Path
):
    def interrupt(step: int, steps: int, figures: dict[str, float]) -> None:
        if "loss" in figures and step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match="stopped at step"):
        run_editor(data, start, tmp_path / "run", report=interrupt)
    assert load_bundle(tmp_path / "run" / "bundle").config.name == "tiny"
    run_editor(data, start, tmp_path / "run", resume=True)
    whole, parts = (
        load_file(f / "bundle" / "transformer.safetensors") for f in (run, tmp_path / "run")
    )
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_a_bundle_is_continued_with_its_own_shape(run: Path, data: Path, tmp_path: Path):
    later = run_editor(
        data, run / "bundle", tmp_path / "later",
        "schedule.steps=1", "schedule.learning_rate=1e-12", "sampling.top_k=5", "facts.more=1",
        "model.dim=128",
    )  # fmt: skip
    before, after = load_bundle(run / "bundle"), load_bundle(later / "bundle")
    assert after.config.transformer == before.config.transformer
    assert after.config.sampling == replace(before.config.sampling, top_k=5)
    assert after.config.training == {"data": "painted pictures", "more": 1}
    for name, value in before.transformer.state_dict().items():
        torch.testing.assert_close(after.transformer.state_dict()[name], value, rtol=0, atol=1e-5)


LORA = ("lora.rank=4", "schedule.steps=6", "schedule.learning_rate=2e-3")


def test_a_lora_is_trained_alone_and_changes_what_the_bundle_says(
    run: Path, data: Path, tmp_path: Path
):
    output = run_editor(data, run / "bundle", tmp_path / "lora", *LORA)
    assert not (output / "bundle").exists()
    base = load_bundle(run / "bundle")
    adapted = load_bundle(run / "bundle", loras=[LoraChoice(path=output / "lora")])
    changed = {
        name
        for name, value in base.transformer.state_dict().items()
        if not torch.equal(value, adapted.transformer.state_dict()[name])
    }
    kinds = {name.split(".")[-2] for name in changed}
    assert kinds == {"qkv", "out", "gate_up", "down"} and len(changed) == 2 * 4
    # Neither the model's weights nor their moments are stored again.
    assert (output / CHECKPOINT).stat().st_size < 200_000 < (run / CHECKPOINT).stat().st_size


def test_an_interrupted_lora_ends_bit_for_bit_like_the_undisturbed_one(
    run: Path, data: Path, tmp_path: Path
):
    def interrupt(step: int, steps: int, figures: dict[str, float]) -> None:
        if "loss" in figures and step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    settings = (*LORA, "lora.dropout=0.2", "schedule.ema=0.5")
    whole = run_editor(data, run / "bundle", tmp_path / "whole", *settings)
    with pytest.raises(TrainingError, match="stopped at step"):
        run_editor(data, run / "bundle", tmp_path / "parts", *settings, report=interrupt)
    parts = run_editor(data, run / "bundle", tmp_path / "parts", *settings, resume=True)
    first, second = (load_file(f / "lora" / LORA_WEIGHTS) for f in (whole, parts))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_lora_needs_a_model(data: Path, start: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match=r"adapters need a trained model; .* is no bundle"):
        run_editor(data, start, tmp_path / "run", *LORA)


@pytest.fixture(scope="module")
def other_tokenizer(data: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer stage gone on with: the same shape, other weights."""
    output = tmp_path_factory.mktemp("editor") / "other"
    train(
        "tokenizer", recipe=TOKENIZER_RECIPE, data=data, output=output, init=start,
        overrides=["schedule.steps=1"],
    )  # fmt: skip
    return output


def test_a_bundle_takes_another_tokenizer_of_its_shape(
    run: Path, other_tokenizer: Path, data: Path, tmp_path: Path
):
    later = run_editor(
        data, run / "bundle", tmp_path / "later",
        "schedule.steps=1", "schedule.learning_rate=1e-12", f"tokenizer={other_tokenizer}",
    )  # fmt: skip
    before, after = load_bundle(run / "bundle"), load_bundle(later / "bundle")
    stored = after.tokenizer.state_dict()
    for name, value in read_tokenizer(other_tokenizer).state_dict().items():
        assert torch.equal(stored[name], value.half().float()), name
    assert any(
        not torch.equal(stored[name], value)
        for name, value in before.tokenizer.state_dict().items()
    )
    for name, value in before.transformer.state_dict().items():
        torch.testing.assert_close(after.transformer.state_dict()[name], value, rtol=0, atol=1e-5)
    # Its pairs are made of the codes of the new one.
    old, new = (load_file(folder / "train.safetensors") for folder in (run, later))
    assert not torch.equal(old["targets"], new["targets"])


def test_a_start_without_a_transformer_takes_another_tokenizer_too(
    start: Path, other_tokenizer: Path
):
    recipe = load_recipe(EditorRecipe, EDITOR_RECIPE, [f"tokenizer={other_tokenizer}"])
    found = load_start(start, recipe).tokenizer.state_dict()
    for name, value in read_tokenizer(other_tokenizer).state_dict().items():
        assert torch.equal(found[name], value.half().float()), name


def test_a_tokenizer_of_another_shape_is_refused(run: Path, other_tokenizer: Path, tmp_path: Path):
    shape = json.loads((other_tokenizer / "tokenizer.json").read_text())
    shape["codebook_size"] = 40
    (tmp_path / "tokenizer.json").write_text(json.dumps(shape))
    changed = VQTokenizer(VQConfig(**shape))
    save_file(changed.state_dict(), tmp_path / "tokenizer.safetensors")
    with pytest.raises(TrainingError, match="its tokenizer has another shape than the start's"):
        load_start(run / "bundle", EditorRecipe(tokenizer=str(tmp_path)))


def test_a_tokenizer_that_is_missing_or_damaged_is_named(run: Path, tmp_path: Path):
    for place in (tmp_path / "none", tmp_path):
        (tmp_path / "tokenizer.json").write_text("{")
        with pytest.raises(TrainingError, match=rf"{place}: no tokenizer can be read from it"):
            load_start(run / "bundle", EditorRecipe(tokenizer=str(place)))


def test_the_extractors_of_the_recipe_are_in_the_bundle(run: Path, start: Path):
    recipe = load_recipe(EditorRecipe, EDITOR_RECIPE, ['extractors.canny=["opencv"]'])
    fresh = load_start(start, recipe)
    assert fresh.config.extractors == {"canny": ["opencv"]}
    assert load_bundle(run / "bundle").config.extractors == {}


def test_extractors_are_added_to_those_of_the_bundle(run: Path, data: Path, tmp_path: Path):
    steps = ("schedule.steps=1", "pairs=6")
    first = run_editor(
        data, run / "bundle", tmp_path / "first", *steps,
        'extractors.canny=["opencv"]', 'extractors.depth=["dpt"]',
    )  # fmt: skip
    second = run_editor(
        data, first / "bundle", tmp_path / "second", *steps, 'extractors.depth=["dpt", "small"]'
    )
    found = {mode: list(n) for mode, n in load_bundle(second / "bundle").config.extractors.items()}
    assert found == {"canny": ["opencv"], "depth": ["dpt", "small"]}


@pytest.fixture
def small_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Teacher]:
    weights = write_teacher(tmp_path / "vit.pth", "test_vit")

    def make(name: str) -> Teacher:
        return Teacher("test_vit", weights)

    monkeypatch.setattr(editor, "Teacher", make)
    return make


def test_distillation_adds_half_of_the_teachers_term(
    small_teacher: Callable[[str], Teacher], data: Path, start: Path, tmp_path: Path
):
    width = small_teacher("").dim
    output = run_editor(
        data, start, tmp_path / "run", "schedule.steps=2", "schedule.batch_size=4", "pairs=8",
        "distillation_weight=0.5", "teacher=dinov2-base", f"model.adapter_dim={width}",
    )  # fmt: skip
    figures = read_figures(output)
    for loss, code, mse in zip(
        figures["loss"], figures["cross_entropy"], figures["distill_mse"], strict=True
    ):
        assert mse > 0 and loss == pytest.approx(code + 0.5 * mse, rel=1e-5)
    adapter = load_bundle(output / "bundle").transformer.adapter
    assert adapter.weight.shape == (width, 64, 2, 2)


def test_a_teacher_of_another_width_is_refused(
    small_teacher: Callable[[str], Teacher], data: Path, start: Path, tmp_path: Path
):
    with pytest.raises(TrainingError, match=r"adapter_dim is None, but teacher dinov2-base gives"):
        run_editor(data, start, tmp_path / "run", "distillation_weight=0.5", "teacher=dinov2-base")


def test_codes_that_change_can_weigh_more(data: Path, start: Path, tmp_path: Path):
    changes = ("schedule.steps=1", "pairs=8", "map_share=0.0", "model.dropout=0.0")
    plain, weighted = (
        read_figures(run_editor(data, start, tmp_path / name, *changes, f"changed_weight={weight}"))
        for name, weight in (("plain", 1.0), ("weighted", 5.0))
    )
    # A fresh model copies: what has to change is what it gets wrong.
    assert weighted["cross_entropy"][0] > plain["cross_entropy"][0] * 1.02


def test_noise_replaces_part_of_the_context_of_its_share_of_samples():
    torch.manual_seed(0)
    targets = torch.zeros(400, 64, dtype=torch.int64)
    changed = (noisy_context(targets, 0.75, 1000) != targets).float().mean(dim=1)
    assert float((changed > 0.1).float().mean()) == pytest.approx(0.75, abs=0.06)
    noisy = changed[changed > 0.1]
    assert float(noisy.mean()) == pytest.approx(0.65, abs=0.04)
    assert torch.equal(noisy_context(targets, 0.0, 1000), targets)


def test_a_stage_without_a_start_is_refused(data: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="give it with --init"):
        train("editor", recipe=EDITOR_RECIPE, data=data, output=tmp_path / "run")


def test_a_start_without_text_encoder_names_what_is_missing(tmp_path: Path):
    save_file({}, tmp_path / "tokenizer.safetensors")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"with a text encoder: text is missing"):
        load_start(tmp_path, EditorRecipe())


def test_a_model_that_cannot_be_built_is_refused(start: Path):
    recipe = load_recipe(EditorRecipe, EDITOR_RECIPE, ["model.dim=65"])
    with pytest.raises(TrainingError, match=r"recipe \[model\]: dim 65 must be divisible"):
        load_start(start, recipe)


def test_too_few_pairs_for_a_batch_are_refused(data: Path, start: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="4 pairs do not fill a batch of 6"):
        run_editor(data, start, tmp_path / "run", "pairs=4")
