"""PIE-Bench folders: the published layout, masks as published, and what is wrong with a folder."""

import json

import numpy as np
import pytest
from PIL import Image

from editar_cli.benchmarks.pie_data import TYPES, decode_mask, read_pie_bench
from editar_cli.errors import UsageError
from tests.golden_files import golden_files, golden_tensors

FILES = golden_files("pie_metrics")

ENTRY = {
    "image_path": "0_random_140/a.jpg",
    "original_prompt": "a [red] car",
    "editing_prompt": "a [blue] car [on ice]",
    "editing_instruction": " make the car blue",
    "editing_type_id": "6",
    "blended_word": "car car",
    "mask": [0, 3, 512 * 512 - 2, 50],
}


def write(folder, entry=None, picture=True, **changes):
    folder.mkdir(exist_ok=True)
    table = {"000000000000": {**(entry or ENTRY), **changes}}
    (folder / "mapping_file.json").write_text(json.dumps(table))
    if picture:
        path = folder / "annotation_images" / ENTRY["image_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (512, 512)).save(path)
    return folder


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_masks_decode_as_published(file):
    golden = golden_tensors(file)
    runs = golden["input.mask_runs"].reshape(-1, 2).numpy()
    expected = golden["mask"].numpy().astype(bool)
    assert np.array_equal(decode_mask(runs, *expected.shape), expected)


def test_a_folder_is_read_with_brackets_stripped(tmp_path):
    (case,) = read_pie_bench(write(tmp_path / "pie"))
    assert case.source_prompt == "a red car"
    assert case.target_prompt == "a blue car on ice"
    assert case.instruction == "make the car blue"
    assert TYPES[case.type] == "change color"
    mask = case.mask()
    # The border, and nothing else of the middle: the runs lie in the border or past the end.
    assert mask.shape == (512, 512)
    assert mask.sum() == 4 * 511
    assert not mask[1:-1, 1:-1].any()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mask": [1, 2, 3]}, "mask must be a flat list"),
        ({"mask": [1, -2]}, "mask must be a flat list"),
        ({"mask": None}, "mask must be a flat list"),
        ({"editing_type_id": "10"}, "editing_type_id '10' must be 0 to 9"),
        ({"editing_instruction": ""}, "editing_instruction is empty"),
        ({"editing_instruction": None}, "editing_instruction is missing"),
        ({"editing_prompt": 3}, "editing_prompt must be text, not int"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, changes, said):
    with pytest.raises(UsageError, match=rf"mapping_file\.json: 000000000000: {said}"):
        read_pie_bench(write(tmp_path / "pie", **changes))


def test_what_is_no_pie_bench_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--data names the folder with mapping_file"):
        read_pie_bench(tmp_path)
    with pytest.raises(UsageError, match="1 of 1 pictures of mapping_file"):
        read_pie_bench(write(tmp_path / "pie", picture=False))
    (tmp_path / "pie" / "mapping_file.json").write_text("[]")
    with pytest.raises(UsageError, match="must be an object"):
        read_pie_bench(tmp_path / "pie")
    (tmp_path / "pie" / "mapping_file.json").write_text("{")
    with pytest.raises(UsageError, match="is no JSON"):
        read_pie_bench(tmp_path / "pie")
