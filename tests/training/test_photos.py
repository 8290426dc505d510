from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli.errors import TrainingError
from editar_cli.training.photos import list_photos, load_photo, split, split_photos


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_pictures_are_listed_by_name_and_others_left_out(tmp_path: Path):
    touch(tmp_path, "b.jpg", "a.PNG", "c.webp", "notes.txt", "d.jpeg")
    assert [p.name for p in list_photos(tmp_path)] == ["a.PNG", "b.jpg", "c.webp", "d.jpeg"]


def test_a_missing_or_empty_folder_is_named(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"none: no such folder of photographs"):
        list_photos(tmp_path / "none")
    with pytest.raises(TrainingError, match=r"no \.jpg, \.png or \.webp pictures"):
        list_photos(tmp_path)


def test_every_eighth_photo_is_kept_out_and_a_growing_folder_keeps_its_split():
    paths = [Path(f"{i:03d}.jpg") for i in range(40)]
    train, kept = split(paths, 8)
    assert [p.name for p in kept] == ["005.jpg", "013.jpg", "021.jpg", "029.jpg", "037.jpg"]
    assert sorted([*train, *kept]) == paths
    assert split(paths[:30], 8)[1] == kept[:4]


@pytest.mark.parametrize(("count", "every", "part"), [(4, 8, "validate"), (6, 1, "train")])
def test_a_folder_that_leaves_a_part_empty_is_refused(
    tmp_path: Path, count: int, every: int, part: str
):
    touch(tmp_path, *(f"{i}.jpg" for i in range(count)))
    with pytest.raises(TrainingError, match=f"{count} pictures leave none to {part}"):
        split_photos(tmp_path, every)


def test_a_large_photo_is_made_smaller_and_a_small_one_left_alone(tmp_path: Path):
    Image.new("RGB", (300, 200), "red").save(tmp_path / "a.png")
    assert load_photo(tmp_path / "a.png", 150).shape == (100, 150, 3)
    assert load_photo(tmp_path / "a.png", 500).shape == (200, 300, 3)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str):
    Image.new("RGB", (20, 10), "white").convert(mode).save(tmp_path / "a.tif")
    found = load_photo(tmp_path / "a.tif", 100)
    assert found.dtype == np.uint8 and found.shape == (10, 20, 3) and found.min() > 250
