from pathlib import Path

import numpy as np
import pytest

from editar_cli.errors import TrainingError
from editar_cli.training.datasets import SCHEMAS
from editar_cli.training.datasets._schema import BadRowError
from editar_cli.training.tables import GROUPS_TOGETHER, FileTable, Table, of_split, open_table
from tests.training.pair_files import published_rows, write_arrow, write_parquet

PUBLISHED = [name for name, schema in SCHEMAS.items() if schema.repository]


def assert_reads(table: Table, kind: str, count: int) -> None:
    """Every row makes the pair that its authors' row makes."""
    assert len(table) == count
    for index, row in enumerate(published_rows(kind, count)):
        expected = SCHEMAS[kind].pair(row, 0.25)
        assert SCHEMAS[kind].pair(table.row(index), 0.25) == expected, index


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_published_schema_is_read_from_an_arrow_folder(kind: str, tmp_path: Path):
    folder = write_arrow(tmp_path / "set", published_rows(kind, 5))
    assert_reads(open_table(folder, "train", SCHEMAS[kind]), kind, 5)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_published_schema_is_read_from_parquet(kind: str, tmp_path: Path):
    folder = write_parquet(tmp_path / "set", published_rows(kind, 11))
    assert_reads(open_table(folder, "train", SCHEMAS[kind]), kind, 11)


def test_pictures_that_the_hub_would_decode_stay_encoded(tmp_path: Path):
    rows = published_rows("pipe", 2)
    folder = write_arrow(tmp_path / "set", rows, decoded=True)
    table = open_table(folder, "train", SCHEMAS["pipe"])
    assert table.row(1)["source_img"]["bytes"] == rows[1]["source_img"]["bytes"]


def test_a_split_is_chosen_where_there_are_several(tmp_path: Path):
    rows = published_rows("pipe", 6)
    write_parquet(tmp_path / "set", rows[:4])
    write_parquet(tmp_path / "set", rows[4:], split="validation", files=1)
    for split, count in (("train", 4), ("validation", 2), ("everything", 6)):
        assert len(open_table(tmp_path / "set", split, SCHEMAS["pipe"])) == count


def test_a_saved_dict_of_splits_names_those_it_has(tmp_path: Path):
    import datasets

    rows = datasets.Dataset.from_list(published_rows("pipe", 2))
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "set"))
    assert len(open_table(tmp_path / "set", "train", SCHEMAS["pipe"])) == 2
    with pytest.raises(TrainingError, match=r"has no split 'dev'; there are: train"):
        open_table(tmp_path / "set", "dev", SCHEMAS["pipe"])


def test_bare_arrow_files_are_one_table(tmp_path: Path):
    folder = write_arrow(tmp_path / "set", published_rows("magic-brush", 3))
    for name in ("state.json", "dataset_info.json"):
        (folder / name).unlink()
    assert_reads(open_table(folder, "train", SCHEMAS["magic-brush"]), "magic-brush", 3)


@pytest.mark.parametrize("write", [write_arrow, write_parquet])
def test_a_table_without_the_columns_says_which_it_has(write, tmp_path: Path):
    folder = write(tmp_path / "set", published_rows("magic-brush", 2))
    said = r"no column Instruction_VLM-LLM, which data of kind 'pipe' has; its columns are: .*mask"
    with pytest.raises(TrainingError, match=said):
        open_table(folder, "train", SCHEMAS["pipe"])


def test_what_is_no_table_is_refused(tmp_path: Path):
    with pytest.raises(TrainingError, match="holds neither parquet nor Arrow files"):
        open_table(tmp_path, "train", SCHEMAS["pipe"])
    file = tmp_path / "a.parquet"
    file.write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match=r"a\.parquet: cannot be read as parquet"):
        open_table(tmp_path, "train", SCHEMAS["pipe"])


def test_a_damaged_place_in_parquet_is_a_bad_row_and_the_rest_is_read(tmp_path: Path):
    import pyarrow.parquet as pq

    folder = write_parquet(tmp_path / "set", published_rows("seed-data-edit", 6), files=1, group=2)
    file = folder / "data" / "train-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    place = pq.ParquetFile(file).metadata.row_group(1).column(0).data_page_offset
    content[place : place + 16] = b"\xff" * 16
    file.write_bytes(content)
    table = open_table(folder, "train", SCHEMAS["seed-data-edit"])
    for index in (2, 3):
        with pytest.raises(BadRowError, match="its row group 1 is damaged"):
            table.row(index)
    assert [table.row(i)["instruction"] for i in (1, 4)] == ["edit 1", "edit 4"]


def test_rows_are_named_by_file_and_place(tmp_path: Path):
    folder = write_parquet(tmp_path / "set", published_rows("pipe", 11))
    table = open_table(folder, "train", SCHEMAS["pipe"])
    names = [table.name(i) for i in (0, 5, 6, 10)]
    first, second = "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"
    assert names == [f"{first}:0", f"{first}:5", f"{second}:0", f"{second}:4"]


def test_parquet_is_shuffled_a_few_row_groups_at_a_time(tmp_path: Path):
    rows = published_rows("pipe", 60)
    table = open_table(
        write_parquet(tmp_path / "set", rows, files=1, group=3), "train", SCHEMAS["pipe"]
    )
    order = table.order(np.random.default_rng(0))
    assert sorted(order) == list(range(60)) and list(order) != sorted(order)
    together = 3 * GROUPS_TOGETHER
    for start in range(0, 60, together):
        assert len({i // 3 for i in order[start : start + together].tolist()}) == GROUPS_TOGETHER
    # Far-apart groups meet.
    assert np.ptp(order[:together] // 3) > GROUPS_TOGETHER


def test_a_table_of_files_has_its_rows_own_names():
    table = FileTable([{"name": "fox"}, {"name": "owl"}])
    assert (len(table), table.name(1), table.row(0)) == (2, "owl", {"name": "fox"})
    assert sorted(table.order(np.random.default_rng(1))) == [0, 1]


def test_files_are_told_by_the_split_in_their_name_or_folder():
    files = [
        Path("data/train-00000-of-00001.parquet"),
        Path("test/0000.parquet"),
        Path("x.parquet"),
    ]
    assert of_split(files, "train") == files[:1]
    assert of_split(files, "test") == files[1:2]
    assert of_split(files, "other") == files
