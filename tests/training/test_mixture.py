from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from editar_cli.errors import TrainingError
from editar_cli.training.mixture import BLOCK, Mixture, TableRows, open_sets, rows_of
from editar_cli.training.recipe import DataConfig
from editar_cli.training.streams import RowStream
from editar_cli.training.tables import FileTable
from tests.training.pair_files import (
    published_rows,
    write_arrow,
    write_folder,
    write_parquet,
    write_shards,
)

PAPER = (0.15, 0.15, 0.15, 0.25, 0.30)


def silent(name: str, why: str) -> None:
    raise AssertionError(f"{name}: {why}")


def test_sets_are_drawn_by_weight():
    mixture = Mixture([3 * weight for weight in PAPER], seed=0)
    assert mixture.shares == pytest.approx(PAPER)
    counts = mixture.counts(100_000)
    assert counts.sum() == 100_000
    assert counts / 100_000 == pytest.approx(PAPER, abs=0.004)


def test_a_sample_is_the_same_wherever_one_begins():
    mixture = Mixture(PAPER, seed=7)
    whole = list(islice(mixture.drawn(0), 2 * BLOCK + 50))
    assert [one.number for one in whole] == list(range(len(whole)))
    for first in (1, BLOCK - 1, BLOCK, 2 * BLOCK + 3):
        assert list(islice(mixture.drawn(first), 40)) == whole[first : first + 40]
    assert list(islice(Mixture(PAPER, seed=8).drawn(0), 40)) != whole[:40]


def test_the_samples_of_a_set_are_counted_from_its_first():
    seen = [0] * len(PAPER)
    for one in islice(Mixture(PAPER, seed=1).drawn(0), 5000):
        assert one.earlier == seen[one.which]
        seen[one.which] += 1
    assert seen == Mixture(PAPER, seed=1).counts(5000).tolist()


def test_choices_are_even_and_apart_from_the_sets():
    found = list(islice(Mixture([1, 1], seed=2).drawn(0), 8000))
    for which in (0, 1):
        choices = [one.choice for one in found if one.which == which]
        assert np.mean(choices) == pytest.approx(0.5, abs=0.02)
        assert np.mean([choice < 0.5 for choice in choices]) == pytest.approx(0.5, abs=0.02)


def table_rows(count: int, chosen: list[int], seed: int = 0) -> TableRows:
    table = FileTable([{"name": str(i)} for i in range(count)])
    return TableRows(table, np.array(chosen), [seed])


def test_each_pass_over_a_table_gives_every_chosen_row_once():
    chosen = [1, 3, 4, 8, 9]
    rows = table_rows(10, chosen)
    passes = [[int(rows.fetch(5 * r + i)[0]) for i in range(5)] for r in range(20)]
    assert all(sorted(found) == chosen for found in passes)
    assert len({tuple(found) for found in passes}) > 10
    again = table_rows(10, chosen)
    assert [int(again.fetch(5 * 7 + i)[0]) for i in range(5)] == passes[7]


def test_other_attempts_are_chosen_rows_too_and_always_the_same():
    rows, again = table_rows(10, [1, 3, 4]), table_rows(10, [1, 3, 4])
    found = [[rows.fetch(n, attempt)[0] for attempt in range(1, 9)] for n in range(6)]
    assert {name for names in found for name in names} == {"1", "3", "4"}
    assert [[again.fetch(n, attempt)[0] for attempt in range(1, 9)] for n in range(6)] == found


def test_sets_are_opened_where_they_lie(tmp_path: Path):
    write_folder(tmp_path / "mine", 3)
    write_arrow(tmp_path / "seed", published_rows("seed-data-edit", 4))
    write_shards(tmp_path / "tars", [2])
    pipe = write_parquet(tmp_path / "pipe", published_rows("pipe", 5), files=1)
    entries = [
        DataConfig(kind="folder", path="mine"),
        DataConfig(kind="seed-data-edit", path="seed", hub="not/asked"),
        DataConfig(kind="webdataset", path="tars"),
        DataConfig(kind="pipe", path="not-there", hub=str(pipe)),
        DataConfig(kind="pipe", path="pipe"),
    ]
    sets = open_sets(entries, tmp_path, silent)
    assert [one.name for one in sets] == [
        "folder",
        "seed-data-edit",
        "webdataset",
        "pipe",
        "pipe-2",
    ]
    assert [one.rows for one in sets] == [3, 4, None, sets[3].rows, 5]
    assert [one.table is None for one in sets] == [False, False, True, True, False]
    assert sets[3].where == str(pipe)
    streamed = rows_of(sets[3], 3, None, 0, silent)
    assert isinstance(streamed, RowStream)
    assert streamed.fetch(0)[1]["Instruction_VLM-LLM"].startswith("Add thing")


def test_the_folder_given_may_be_the_set_itself(tmp_path: Path):
    write_folder(tmp_path / "mine", 2)
    (one,) = open_sets([DataConfig(kind="folder")], tmp_path / "mine", silent)
    assert one.rows == 2


def test_a_set_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"mine: no such file or folder; .* relative to --data"):
        open_sets([DataConfig(kind="folder", path="mine")], tmp_path, silent)


def test_two_sets_of_one_kind_have_orders_of_their_own(tmp_path: Path):
    write_folder(tmp_path, 12)
    one, other = open_sets([DataConfig(kind="folder")] * 2, tmp_path, silent)
    orders = [
        [rows_of(s, i, np.arange(12), 0, silent).fetch(n)[0] for n in range(12)]
        for i, s in enumerate((one, other))
    ]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
