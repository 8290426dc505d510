"""Data of the benchmarks of maps is read in both forms, and left as it is."""

import shutil

import numpy as np
import pytest
from PIL import Image

from editar_cli.benchmarks.hub_data import COCO_STUFF, MULTIGEN, is_data, unpack
from editar_cli.errors import UsageError
from tests.hub_files import columns, label_map, png, save_parquet, save_to_disk


@pytest.mark.parametrize("save", [save_to_disk, save_parquet])
def test_both_forms_give_the_same_files(save, tmp_path):
    folder = save(tmp_path / "data", 3, side=64)
    assert is_data(folder)
    cases = unpack(COCO_STUFF, folder, tmp_path / "run")
    assert [case.key for case in cases] == ["0", "1", "2"]
    # An empty detailed caption is none.
    assert [case.caption for case in cases] == [
        "a red ball 0", "a red ball 1 on grass", "a red ball 2 on grass"
    ]  # fmt: skip
    table = columns(3, side=64)
    assert cases[1].photo == tmp_path / "run/photo/1.png"
    assert cases[1].photo.read_bytes() == table["image"][1]["bytes"]
    assert cases[2].map is not None
    assert cases[2].map.read_bytes() == table["control_seg"][2]["bytes"]
    assert cases[2].labels is not None
    assert np.array_equal(np.asarray(Image.open(cases[2].labels)), label_map(2, 64))


def test_what_is_unpacked_is_left_alone_and_some_rows_can_do(tmp_path):
    folder = save_parquet(tmp_path / "data", 4, side=32)
    told = []
    cases = unpack(MULTIGEN, folder, tmp_path / "run", most=2,
                   on_progress=lambda done, what: told.append(done))  # fmt: skip
    assert len(cases) == 2 and told == [1, 2]
    assert (cases[0].caption, cases[0].labels) == ("a ball, number 0", None)
    time = cases[0].photo.stat().st_mtime_ns
    unpack(MULTIGEN, folder, tmp_path / "run")
    assert cases[0].photo.stat().st_mtime_ns == time


def test_without_class_numbers_there_are_none(tmp_path):
    folder = save_parquet(tmp_path / "data", 1, labels=False, side=32)
    assert unpack(COCO_STUFF, folder, tmp_path / "run")[0].labels is None


def test_what_is_no_such_data_is_told_with_the_line_that_brings_it(tmp_path):
    with pytest.raises(UsageError, match=r"no such folder\. hf download limingcv/MultiGen-20M"):
        unpack(MULTIGEN, tmp_path / "none", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no data set\. hf download limingcv/Captioned"):
        unpack(COCO_STUFF, tmp_path / "empty", tmp_path / "run")
    assert not is_data(tmp_path / "empty")
    folder = save_parquet(tmp_path / "data", 1, side=32)
    file = folder / "data/validation-00000-of-00001.parquet"
    file.rename(folder / "data/train-00000-of-00001.parquet")
    with pytest.raises(UsageError, match="none of its 1 parquet files is of the split validation"):
        unpack(MULTIGEN, folder, tmp_path / "run")
    file.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be read as parquet"):
        unpack(MULTIGEN, folder, tmp_path / "run")


def test_a_data_set_of_something_else_is_told_by_its_columns(tmp_path):
    import datasets

    table = datasets.Dataset.from_dict({"image": [{"bytes": png(label_map(0, 8))}], "text": [""]})
    table.save_to_disk(str(tmp_path / "one"))
    with pytest.raises(UsageError, match="has no column control_depth, so it is not limingcv/Mul"):
        unpack(MULTIGEN, tmp_path / "one", tmp_path / "run")
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(UsageError, match="has no split validation; there are train"):
        unpack(MULTIGEN, tmp_path / "two", tmp_path / "run")
    shutil.rmtree(tmp_path / "one")
    bad = {"image": [b""], "control_depth": [b""], "text": [""]}
    datasets.Dataset.from_dict(bad).save_to_disk(str(tmp_path / "one"))
    with pytest.raises(UsageError, match="row 0: image holds no picture"):
        unpack(MULTIGEN, tmp_path / "one", tmp_path / "run")
