import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from editar_cli.errors import TrainingError
from editar_cli.geometry import Fit
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.modes.canny import canny_map
from editar_cli.training.content_store import ContentStore
from editar_cli.training.pairs import TokenizedPairs
from editar_cli.training.preparation import Preparation
from editar_cli.training.recipe import DataConfig, EditorRecipe, RunConfig, ScheduleConfig
from editar_cli.training.set_source import SKIPPED, SetSource, encode
from tests.training.pair_files import (
    picture,
    published_rows,
    write_arrow,
    write_folder,
    write_parquet,
    write_shards,
)

CPU = torch.device("cpu")
PREPARATION = Preparation(size=32, fit=Fit.CROP, maps={"canny": canny_map})


@pytest.fixture(scope="module")
def tokenizer() -> VQTokenizer:
    shape = VQConfig(
        codebook_size=64, codebook_dim=4, channels=32, channel_multipliers=(1, 1, 1),
        res_blocks=1, latent_channels=16,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VQTokenizer(shape).eval().requires_grad_(False)


def recipe(*data: DataConfig, batch: int = 4, steps: int = 12, **changes: Any) -> EditorRecipe:
    return EditorRecipe(
        data=data,
        schedule=ScheduleConfig(steps=steps, batch_size=batch),
        run=RunConfig(seed=3, workers=2),
        **changes,
    )


def source(
    made: EditorRecipe, base: Path, output: Path, tokenizer: VQTokenizer, **options: Any
) -> SetSource:
    return SetSource(made, base, output, tokenizer=tokenizer, preparation=PREPARATION, **options)


def same(one: TokenizedPairs, other: TokenizedPairs) -> bool:
    return (
        torch.equal(one.sources, other.sources)
        and torch.equal(one.targets, other.targets)
        and one.instructions == other.instructions
        and one.families == other.families
    )


def codes_of(tokenizer: VQTokenizer, *seeds: int) -> list[Tensor]:
    from editar_cli.images import square
    from editar_cli.training.preparation import read

    squares = [square(read(picture(seed), "x"), 32, Fit.CROP) for seed in seeds]
    return encode(tokenizer, squares, CPU)


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[EditorRecipe, Path]:
    """A folder, a table, drawn edges and two streams."""
    base = tmp_path / "data"
    write_folder(base / "mine", 10)
    write_parquet(base / "pipe", published_rows("pipe", 12))
    write_arrow(base / "multigen", published_rows("multigen-canny", 6))
    write_shards(base / "tars", [3, 4, 2])
    write_parquet(base / "seed", published_rows("seed-data-edit", 9))
    made = recipe(
        DataConfig(kind="folder", path="mine", weight=2),
        DataConfig(kind="pipe", path="pipe"),
        DataConfig(kind="multigen-canny", path="multigen"),
        DataConfig(kind="webdataset", path="tars", window=4),
        DataConfig(kind="seed-data-edit", hub=str(base / "seed"), window=4),
    )
    return made, base


def test_batches_are_a_function_of_seed_and_step(
    mixed: tuple[EditorRecipe, Path], tmp_path: Path, tokenizer: VQTokenizer
):
    made, base = mixed
    whole = list(source(made, base, tmp_path / "a", tokenizer).batches(0))
    assert len(whole) == 12 and all(len(batch) == 4 for batch in whole)
    again = list(source(made, base, tmp_path / "b", tokenizer).batches(7))
    assert len(again) == 5
    assert all(same(one, other) for one, other in zip(again, whole[7:], strict=True))
    families = {family for batch in whole for family in batch.families}
    assert families == {"folder", "pipe", "multigen-canny", "webdataset", "seed-data-edit"}


def test_a_resumed_source_goes_on_where_its_state_was_taken(
    mixed: tuple[EditorRecipe, Path], tmp_path: Path, tokenizer: VQTokenizer
):
    made, base = mixed
    first = source(made, base, tmp_path / "a", tokenizer)
    expected = list(source(made, base, tmp_path / "b", tokenizer).batches(0))
    for _ in islice(first.batches(0), 5):
        pass
    # As a checkpoint keeps it.
    torch.save(first.state(), tmp_path / "state.pt")
    second = source(made, base, tmp_path / "c", tokenizer)
    second.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    found = list(second.batches(5))
    assert all(same(one, other) for one, other in zip(found, expected[5:], strict=True))


def test_processes_share_every_batch_between_them(
    mixed: tuple[EditorRecipe, Path], tmp_path: Path, tokenizer: VQTokenizer
):
    made, base = mixed
    whole = list(source(made, base, tmp_path / "a", tokenizer).batches(0))
    parts = [
        list(source(made, base, tmp_path / f"{r}", tokenizer, rank=r, world=2).batches(0))
        for r in (0, 1)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        for rank, share in enumerate(shares):
            assert same(share, batch.rows(np.arange(rank, 4, 2)))


def test_codes_and_words_are_those_of_the_pairs(tmp_path: Path, tokenizer: VQTokenizer):
    base = write_folder(tmp_path / "mine", 9)
    made = source(recipe(DataConfig(kind="folder")), base, tmp_path / "run", tokenizer)
    for batch in made.batches(0):
        for i, instruction in enumerate(batch.instructions):
            number = int(instruction.removeprefix("edit "))
            expected = codes_of(tokenizer, 2 * number, 2 * number + 1)
            assert torch.equal(batch.sources[i], expected[0])
            assert torch.equal(batch.targets[i], expected[1])


def test_codes_do_not_depend_on_what_is_encoded_beside_them(tokenizer: VQTokenizer):
    together = codes_of(tokenizer, *range(11))
    for seed in range(11):
        assert torch.equal(codes_of(tokenizer, seed)[0], together[seed])


def test_every_eighth_row_is_kept_out_and_validated_on(tmp_path: Path, tokenizer: VQTokenizer):
    base = write_folder(tmp_path / "mine", 16)
    made = source(recipe(DataConfig(kind="folder"), steps=30), base, tmp_path / "run", tokenizer)
    assert made.kept.instructions == ["edit 5", "edit 13"]
    trained = {text for batch in made.batches(0) for text in batch.instructions}
    assert trained == {f"edit {i}" for i in range(16) if i not in (5, 13)}


def test_no_more_rows_are_kept_out_than_are_validated_on(tmp_path: Path, tokenizer: VQTokenizer):
    base = write_arrow(tmp_path / "set", published_rows("seed-data-edit", 40))
    few = recipe(DataConfig(kind="seed-data-edit"), validation_pairs=2)
    made = source(few, base, tmp_path / "run", tokenizer)
    assert made.kept.instructions == ["edit 5", "edit 37"]
    assert made.shares()[0].rows == 38


def test_validation_sets_leave_all_rows_to_training(tmp_path: Path, tokenizer: VQTokenizer):
    base = tmp_path
    write_folder(base / "mine", 8)
    write_shards(base / "tars", [6])
    made = source(
        recipe(
            DataConfig(kind="folder", path="mine"),
            validation=(DataConfig(kind="webdataset", path="tars"),),
            validation_pairs=3,
        ),
        base, tmp_path / "run", tokenizer,
    )  # fmt: skip
    assert made.kept.families == ["webdataset"] * 3
    assert made.kept.instructions == ["edit 0", "edit 1", "edit 2"]
    assert made.shares()[0].rows == 8


def test_streams_alone_need_sets_to_validate_on(tmp_path: Path, tokenizer: VQTokenizer):
    write_shards(tmp_path / "tars", [6])
    with pytest.raises(TrainingError, match=r"no pair is left to validate on.*\[\[validation\]\]"):
        source(recipe(DataConfig(kind="webdataset", path="tars")), tmp_path, tmp_path, tokenizer)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    folder = write_folder(tmp_path / "pairs", 16)
    for name in ("p002", "p009"):
        (folder / "target" / f"{name}.png").write_bytes(picture(3)[:200])
    return folder


def test_bad_rows_stop_a_run_before_its_first_step(
    damaged: Path, tmp_path: Path, tokenizer: VQTokenizer
):
    told: list[str] = []
    with pytest.raises(
        TrainingError, match=r"2 rows cannot be trained on; .*data\.txt; --skip-bad"
    ):
        source(
            recipe(DataConfig(kind="folder")), damaged, tmp_path / "run", tokenizer,
            notice=told.append,
        )  # fmt: skip
    assert "p009: target: cannot be read" in told[0]
    assert json.loads((tmp_path / "run" / "data.json").read_text())["sets"][0]["looked_at"] == 16


def test_bad_rows_are_left_out_where_that_is_asked_for(
    damaged: Path, tmp_path: Path, tokenizer: VQTokenizer
):
    made = source(
        recipe(DataConfig(kind="folder"), skip_bad=True, steps=30), damaged, tmp_path / "run",
        tokenizer,
    )  # fmt: skip
    trained = {text for batch in made.batches(0) for text in batch.instructions}
    assert trained == {f"edit {i}" for i in range(16)} - {"edit 2", "edit 9"} - {
        text for text in made.kept.instructions
    }
    assert not (tmp_path / "run" / SKIPPED).exists()


def test_a_bad_row_met_on_the_way_is_reported_and_another_taken(
    damaged: Path, tmp_path: Path, tokenizer: VQTokenizer
):
    told: list[str] = []
    unchecked = recipe(DataConfig(kind="folder"), check_rows=0, steps=20)
    made = source(unchecked, damaged, tmp_path / "run", tokenizer, notice=told.append)
    batches = list(made.batches(0))
    assert all(len(batch) == 4 for batch in batches)
    texts = [text for batch in batches for text in batch.instructions]
    assert not {"edit 2", "edit 9"} & set(texts)
    lines = [json.loads(line) for line in (tmp_path / "run" / SKIPPED).read_text().splitlines()]
    assert {line["row"] for line in lines} == {"p002", "p009"}
    assert all(line["data"] == "folder" and line["kind"] == "unreadable" for line in lines)
    assert told[0].startswith("skipped p0")
    again = source(unchecked, damaged, tmp_path / "again", tokenizer)
    assert all(same(one, other) for one, other in zip(again.batches(0), batches, strict=True))


def test_a_set_of_nothing_but_bad_rows_is_given_up(tmp_path: Path, tokenizer: VQTokenizer):
    base = write_folder(tmp_path / "pairs", 16)
    made = source(
        recipe(DataConfig(kind="folder"), check_rows=0), base, tmp_path / "run", tokenizer
    )
    for file in (base / "source").iterdir():
        file.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"20 rows in succession cannot be read; .*skipped"):
        next(made.batches(0))


def test_stored_codes_are_taken_instead_of_pictures(
    mixed: tuple[EditorRecipe, Path], tmp_path: Path, tokenizer: VQTokenizer, monkeypatch: Any
):
    made, base = mixed
    plain = list(source(made, base, tmp_path / "a", tokenizer).batches(0))
    store = ContentStore(tmp_path / "cache")
    first = list(source(made, base, tmp_path / "b", tokenizer, store=store).batches(0))
    filled = len(store)
    assert filled > 0
    unseen = source(made, base, tmp_path / "c", tokenizer, store=ContentStore(tmp_path / "cache"))
    monkeypatch.setattr("editar_cli.training.preparation.square", None)
    second = list(unseen.batches(0))
    for one, two, three in zip(plain, first, second, strict=True):
        assert same(one, two) and same(one, three)
    assert len(store) == filled


def test_codes_of_another_tokenizer_are_not_taken(tmp_path: Path, tokenizer: VQTokenizer):
    base = write_folder(tmp_path / "pairs", 8)
    store = ContentStore(tmp_path / "cache")
    made = recipe(DataConfig(kind="folder"))
    source(made, base, tmp_path / "a", tokenizer, store=store)
    filled = len(store)
    other = VQTokenizer(tokenizer.config).eval().requires_grad_(False)
    source(made, base, tmp_path / "b", other, store=store)
    assert len(store) == 2 * filled


@pytest.mark.parametrize("cached", [False, True])
def test_a_teacher_is_given_the_target_pictures_themselves(
    tmp_path: Path, tokenizer: VQTokenizer, cached: bool
):
    base = write_folder(tmp_path / "pairs", 8)
    store = ContentStore(tmp_path / "cache") if cached else None
    made = recipe(DataConfig(kind="folder"))

    def batches() -> Iterator[TokenizedPairs]:
        return source(
            made, base, tmp_path / "run", tokenizer, store=store, with_pixels=True
        ).batches(0)

    list(batches())
    batch = next(batches())
    assert batch.pixels is not None and batch.pixels.shape == (4, 3, 32, 32)
    squares = list(batch.pixels.permute(0, 2, 3, 1).numpy())
    for codes, expected in zip(encode(tokenizer, squares, CPU), batch.targets, strict=True):
        assert torch.equal(codes, expected)


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path, tokenizer: VQTokenizer):
    base = write_folder(tmp_path / "pairs", 10)
    made = recipe(DataConfig(kind="folder"))
    state = source(made, base, tmp_path / "a", tokenizer).state()
    (base / "source" / "p009.png").unlink()
    (base / "target" / "p009.png").unlink()
    with pytest.raises(TrainingError, match="9 rows were trained on, now it has 8"):
        source(made, base, tmp_path / "b", tokenizer).load_state(state)


def test_shares_are_counted_exactly(
    mixed: tuple[EditorRecipe, Path], tmp_path: Path, tokenizer: VQTokenizer
):
    made, base = mixed
    found = source(made, base, tmp_path / "a", tokenizer)
    names = [name for batch in found.batches(0) for name in batch.families]
    assert [one.samples for one in found.shares()] == [names.count(s.name) for s in found.shares()]
    assert [one.share for one in found.shares()] == pytest.approx([1 / 3, *[1 / 6] * 4])
    assert [one.rows for one in found.shares()][:4] == [9, 11, 5, None]
