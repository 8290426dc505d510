"""Outputs of other programs are found where those programs put them."""

from pathlib import Path

import pytest

from editar_cli.benchmarks.layouts import LAYOUTS, Case, Outputs, choose_layout, layout_names
from editar_cli.errors import ImageError, UsageError

CASES = [
    Case(key="000000000007", path="0_random/first.jpg", number=0),
    Case(key="000000000009", path="8_background/second.jpg", number=1),
]


def folder_with(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def found(folder: Path, kind="edits", name=None) -> tuple[str, list[list[str]]]:
    layout = choose_layout(folder, kind, name)
    outputs = Outputs(folder, layout, CASES)
    paths = [[str(p.relative_to(folder)) for p in outputs.find(case)] for case in CASES]
    return layout.name, paths


@pytest.mark.parametrize(
    ("kind", "name", "first", "second"),
    [
        ("edits", "plain", ["0_random/first.png"], ["8_background/second.jpg"]),
        ("edits", "plain", ["first.jpg"], ["000000000009.webp"]),
        ("maps", "plain", ["0.png"], ["1.png"]),
        (
            "edits",
            "pnpinversion",
            ["annotation_images/0_random/first.jpg"],
            ["annotation_images/8_background/second.jpg"],
        ),
        (
            "edits",
            "instruct-pix2pix",
            ["instruct-pix2pix/annotation_images/0_random/first.jpg"],
            ["instruct-pix2pix/annotation_images/8_background/second.jpg"],
        ),
        ("edits", "mgie", ["0-out.jpg"], ["1-out.jpg"]),
        ("edits", "mgie", ["first-out.jpg"], ["second-out.jpg"]),
        (
            "maps",
            "controlnet++",
            ["images/group_0/0.png", "images/group_1/0.png"],
            ["images/group_0/1.png", "images/group_1/1.png"],
        ),
        (
            "maps",
            "unicontrol",
            ["samples/a-cat-00000.png", "samples/a-cat-00001.png"],
            ["samples/a-dog-00002.png", "samples/a-dog-00003.png"],
        ),
    ],
)
def test_a_layout_is_told_by_its_mark_and_gives_each_picture_its_outputs(
    tmp_path, kind, name, first, second
):
    folder_with(tmp_path, *first, *second)
    # What these programs leave beside their outputs is none of them.
    folder_with(tmp_path, "notes.txt")
    if name == "controlnet++":
        folder_with(tmp_path, "images/group_0/0_edge.png", "annotations/0.png")
    if name == "unicontrol":
        folder_with(tmp_path, "samples/a-cat-control.png", "samples/a-dog-control.png")
    if name == "mgie":
        folder_with(tmp_path, first[0].replace("-out", "-in"))
    assert found(tmp_path, kind) == (name, [first, second])
    assert found(tmp_path, kind, name) == (name, [first, second])


def test_uni_controlnet_names_its_pictures_in_a_file(tmp_path):
    folder_with(tmp_path, "images/sky.png", "images/sea.png", "conditions/condition-1/sky.png")
    (tmp_path / "anno.txt").write_text("sea.png the sea\nsky.png a sky, blue\n")
    assert found(tmp_path, "maps") == ("uni-controlnet", [["images/sea.png"], ["images/sky.png"]])
    (tmp_path / "anno.txt").unlink()
    with pytest.raises(UsageError, match=r"anno\.txt: cannot be read"):
        found(tmp_path, "maps", "uni-controlnet")


def test_of_one_name_with_several_extensions_the_sources_own_comes_first(tmp_path):
    folder_with(tmp_path, "first.png", "first.jpg", "first.webp", "second.webp", "second.png")
    assert found(tmp_path)[1] == [["first.jpg"], ["second.png"]]


def test_one_picture_without_an_output_is_told_and_the_others_are_found(tmp_path):
    folder_with(tmp_path, "first.png")
    outputs = Outputs(tmp_path, choose_layout(tmp_path, "edits"), CASES)
    assert outputs.find(CASES[0]) == (tmp_path / "first.png",)
    with pytest.raises(ImageError, match=r"holds no output for 8_background/second\.jpg"):
        outputs.find(CASES[1])


def test_a_folder_of_something_else_is_refused_with_what_was_looked_for(tmp_path):
    folder_with(tmp_path, "images/group_0/12.png")
    with pytest.raises(UsageError) as error:
        found(tmp_path, "maps")
    for part in ("any of the 2 pictures", "images/group_*/0.png", "there is images/group_0/12.png",
                 "--layout", "unicontrol"):  # fmt: skip
        assert part in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there are no pictures"):
        found(tmp_path / "empty")


def test_a_run_that_stopped_half_way_through_its_count_is_told(tmp_path):
    folder_with(tmp_path, *(f"samples/a-{n:05}.png" for n in range(3)))
    with pytest.raises(UsageError, match="3 pictures are no whole number for each of the 2"):
        found(tmp_path, "maps", "unicontrol")


def test_wrong_names_and_folders_are_told(tmp_path):
    with pytest.raises(UsageError, match="--layout controlnet: must be one of pnpinversion"):
        choose_layout(tmp_path, "edits", "controlnet")
    with pytest.raises(UsageError, match="no such folder"):
        choose_layout(tmp_path / "none", "edits")


def test_each_pattern_has_one_field_and_only_the_last_layout_has_no_mark():
    assert [layout.mark == "" for layout in LAYOUTS] == [False] * (len(LAYOUTS) - 1) + [True]
    assert all(pattern.count("{") == 1 for layout in LAYOUTS for pattern in layout.patterns)
    assert layout_names("maps") == ["controlnet++", "unicontrol", "uni-controlnet", "plain"]
