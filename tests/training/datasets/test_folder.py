from pathlib import Path

import pytest

from editar_cli.errors import TrainingError
from editar_cli.training.datasets._schema import BadRowError
from editar_cli.training.datasets.folder import SCHEMA
from tests.training.pair_files import picture, write_folder


def rows(folder: Path, *instructions: str):
    assert SCHEMA.files is not None
    return SCHEMA.files(folder, instructions)


def test_pairs_are_found_by_stem_with_their_captions(tmp_path: Path):
    found = rows(write_folder(tmp_path / "pairs", 3))
    assert [row["name"] for row in found] == ["p000", "p001", "p002"]
    pair = SCHEMA.pair(found[2], 0.0)
    assert (pair.source, pair.target, pair.instruction) == (picture(4), picture(5), "edit 2")


def test_extensions_may_differ_and_folders_may_be_nested(tmp_path: Path):
    for half, name in (("source", "a/fox.jpeg"), ("target", "a/fox.webp")):
        (tmp_path / half / "a").mkdir(parents=True)
        (tmp_path / half / name).write_bytes(picture(1))
    (tmp_path / "captions.jsonl").write_text(
        '{"file_name": "a/fox.jpeg", "text": "at night"}\n\n'
        '{"file": "a/fox", "caption": "darker"}\n'
    )
    (row,) = rows(tmp_path)
    assert row["name"] == "a/fox" and row["instructions"] == ["at night", "darker"]


def test_the_draw_chooses_among_wordings(tmp_path: Path):
    folder = write_folder(tmp_path / "pairs", 1, instruction=None)
    (row,) = rows(folder, "make it clay", "as clay", "claymation")
    said = [SCHEMA.pair(row, draw).instruction for draw in (0.0, 0.34, 0.99)]
    assert said == ["make it clay", "as clay", "claymation"]


def test_the_recipes_instructions_are_for_pairs_without_their_own(tmp_path: Path):
    folder = write_folder(tmp_path / "pairs", 2)
    (folder / "captions.csv").write_text('file,instruction\np001,"its own, with a comma"\n')
    assert [row["instructions"] for row in rows(folder, "for all")] == [
        ["for all"],
        ["its own, with a comma"],
    ]


def test_a_pair_without_instruction_or_half_is_a_bad_row(tmp_path: Path):
    folder = write_folder(tmp_path / "pairs", 3)
    (folder / "captions.csv").write_text("file,instruction\np000,\np001,x\np002,x\n")
    (folder / "target" / "p001.png").unlink()
    (folder / "source" / "p002.png").unlink()
    kinds = []
    for row in rows(folder):
        with pytest.raises(BadRowError) as found:
            SCHEMA.pair(row, 0.0)
        kinds.append(found.value.kind)
    assert kinds == ["empty", "missing", "missing"]


def test_a_folder_of_another_layout_is_refused(tmp_path: Path):
    with pytest.raises(TrainingError, match="no folder of pairs: it must hold the folders source"):
        rows(tmp_path)
    for half in ("source", "target"):
        (tmp_path / half).mkdir()
    with pytest.raises(TrainingError, match="no pictures in source/ and target/"):
        rows(tmp_path)


def test_two_pictures_of_one_stem_are_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "pairs", 1)
    (folder / "source" / "p000.jpg").write_bytes(picture(1))
    with pytest.raises(TrainingError, match=r"p000\.png: p000\.jpg has the same stem"):
        rows(folder)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("captions.csv", "file,instruction\na,b,c\n", r"captions\.csv:2: has more fields"),
        ("captions.csv", "name,instruction\na,b\n", r"captions\.csv:2: has no column file"),
        ("captions.csv", "file,instruction\nfox,b\n", r"names fox and no picture of source"),
        ("captions.jsonl", "[1]\n", r"captions\.jsonl:1: must be a JSON object"),
        ("captions.jsonl", "{\n", r"captions\.jsonl: cannot be read"),
    ],
)
def test_a_wrong_table_names_its_line(tmp_path: Path, name: str, text: str, said: str):
    folder = write_folder(tmp_path / "pairs", 1, instruction=None)
    (folder / name).write_text(text)
    with pytest.raises(TrainingError, match=said):
        rows(folder)
