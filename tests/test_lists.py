import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from editar_cli.errors import UsageError
from editar_cli.lists import Row, read_list


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with a.jpg, deep/b.png and odd, ünï.jpg in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "deep/b.png", "odd, ünï.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def listed(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return read_list(name)


def test_plain_text_has_one_path_a_line_and_blank_lines_are_nothing():
    assert listed("list.txt", "a.jpg\n\n  deep/b.png  \r\nodd, ünï.jpg") == [
        Row(image=Path("a.jpg"), key="a.jpg"),
        Row(image=Path("deep/b.png"), key="deep/b.png"),
        Row(image=Path("odd, ünï.jpg"), key="odd, ünï.jpg"),
    ]


def test_csv_columns_go_by_name_in_any_order_and_case():
    text = (
        'Seed,Output,IMAGE,Instruction,note\n7,out/x.png,a.jpg,"snow, please",mine\n,,deep/b.png,,'
    )
    assert listed("list.csv", text) == [
        Row(
            image=Path("a.jpg"),
            key="a.jpg",
            text="snow, please",
            seed=7,
            output=Path("out/x.png"),
        ),
        Row(image=Path("deep/b.png"), key="deep/b.png"),
    ]


def test_csv_texts_may_hold_quotes_and_line_ends():
    (row,) = listed("list.csv", 'image,caption\na.jpg,"a ""grey"" day\nby the sea"\n')
    assert row.text == 'a "grey" day\nby the sea'


def test_json_lines_are_objects_of_which_null_is_nothing():
    records = [
        {"image": "a.jpg", "caption": "a lake", "seed": -3, "output": "x.png", "note": [1]},
        {"image": "deep/b.png", "caption": None, "seed": None},
    ]
    assert listed("list.jsonl", "\n".join(map(json.dumps, records)) + "\n\n") == [
        Row(image=Path("a.jpg"), key="a.jpg", text="a lake", seed=-3, output=Path("x.png")),
        Row(image=Path("deep/b.png"), key="deep/b.png"),
    ]


def test_an_empty_caption_of_json_is_a_caption_and_an_empty_field_of_csv_is_none():
    assert listed("list.jsonl", '{"image": "a.jpg", "caption": ""}')[0].text == ""
    assert listed("list.csv", "image,caption\na.jpg,\n")[0].text is None


def test_signs_that_only_look_like_line_ends_stay_in_a_text():
    caption = "one\u2028two\x85three"
    line = json.dumps({"image": "a.jpg", "caption": caption}, ensure_ascii=False)
    assert [row.text for row in listed("list.jsonl", line)] == [caption]


def test_a_byte_order_mark_is_no_part_of_the_first_word():
    for name, text in (
        ("l.txt", "a.jpg"),
        ("l.csv", "image\na.jpg"),
        ("l.jsonl", '{"image":"a.jpg"}'),
    ):
        assert [row.key for row in listed(name, f"\ufeff{text}\n")] == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("a.jpg\ndeep/b.png\n", [None, None]),
        ("image,seed\r\na.jpg,1\r\ndeep/b.png,2\r\n", [1, 2]),
        ('"seed", "image"\n1,a.jpg\n', [1]),
        ('{"image": "a.jpg", "seed": 4}\n', [4]),
    ],
)
def test_standard_input_tells_by_its_first_line_what_it_is(monkeypatch, text, seeds):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert [row.seed for row in read_list("-")] == seeds


def test_keys_are_paths_as_listed_without_the_way_up(folder, monkeypatch):
    monkeypatch.chdir(folder / "deep")
    keys = [row.key for row in listed("list.txt", "../a.jpg\nb.png\n./b.png\n../deep/b.png\n")]
    assert keys == ["a.jpg", "b.png", "b.png", "deep/b.png"]


def test_keys_of_absolute_paths_start_below_the_folder_they_share(folder):
    rows = listed("list.txt", f"{folder}/a.jpg\n{folder}/deep/b.png\n")
    assert [row.key for row in rows] == ["a.jpg", "deep/b.png"]
    (row,) = listed("list.txt", f"{folder}/deep/b.png\n")
    assert row.key == "b.png"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.txt", "a.jpg\nnone.jpg\n", r"^l\.txt:2: none\.jpg: no such file$"),
        ("l.txt", "deep\n", r"^l\.txt:1: deep: no such file$"),
        ("l.txt", "x" * 5000, r"^l\.txt:1: x+: no such file$"),
        ("l.txt", "\n \n", r"^--from-file l\.txt: names no pictures$"),
        ("l.csv", "file,caption\na.jpg,x\n", r"^l\.csv: its first line must name the columns"),
        ("l.csv", "", "its first line must name the columns"),
        ("l.csv", "image\n", "names no pictures"),
        ("l.csv", "image,caption\na.jpg,one, two\n", r"^l\.csv:2: has more fields .*double quotes"),
        ("l.csv", "image,caption\n,x\n", r"^l\.csv:2: names no image"),
        ("l.csv", f'image,caption\na.jpg,"{"x" * 200_000}\n', r"^l\.csv: cannot be read as CSV"),
        ("l.csv", "image,seed\na.jpg,1\na.jpg,many\n", r"^l\.csv:3: seed 'many' must be a whole"),
        ("l.csv", "image,seed\na.jpg,--5\n", r"^l\.csv:2: seed '--5' must be a whole number"),
        ("l.csv", "image,seed\na.jpg,1.5\n", r"^l\.csv:2: seed '1\.5' must be a whole number"),
        ("l.csv", "image,instruction,caption\na.jpg,x,y\n", r"^l\.csv:2: has an instruction and a"),
        ("l.csv", "image,mask\na.jpg,m.png\n", r"^l\.csv:2: m\.png: no such file"),
        ("l.jsonl", '{"image": "a.jpg", "mask": 1}\n', r"^l\.jsonl:1: mask 1 must be a file name"),
        ("l.jsonl", '{"image": "a.jpg"}\n{"image"\n', r"^l\.jsonl:2: not JSON"),
        ("l.jsonl", '\n["a.jpg"]\n', r"^l\.jsonl:2: must be a JSON object"),
        ("l.jsonl", '{"image": 3}\n', r"^l\.jsonl:1: names no image"),
        ("l.jsonl", '{"image": "a.jpg", "seed": true}\n', r"^l\.jsonl:1: seed True must be"),
        ("l.jsonl", '{"image": "a.jpg", "seed": 1.0}\n', r"^l\.jsonl:1: seed 1\.0 must be"),
        ("l.jsonl", '{"image": "a.jpg", "caption": 5}\n', r"^l\.jsonl:1: caption 5 must be text"),
        ("l.jsonl", '{"image": "a.jpg", "output": ""}\n', r"^l\.jsonl:1: output '' must be a file"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused_with_its_name_and_line(name, text, said):
    with pytest.raises(UsageError, match=said):
        listed(name, text)


def test_a_list_that_cannot_be_read_says_why():
    with pytest.raises(UsageError, match=r"--from-file none\.txt: cannot be read: No such file"):
        read_list("none.txt")
    with pytest.raises(UsageError, match=r"--from-file deep: cannot be read: Is a directory"):
        read_list("deep")
    with pytest.raises(UsageError, match=r"--from-file a\.jpg: is not UTF-8 text"):
        read_list("a.jpg")


def test_errors_of_standard_input_name_it(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.jpg\nnone.jpg\n")))
    with pytest.raises(UsageError, match=r"^standard input:2: none\.jpg: no such file"):
        read_list("-")


def test_a_row_may_have_a_mask_of_its_own():
    rows = listed("l.csv", "image,mask\na.jpg,deep/b.png\ndeep/b.png,\n")
    assert [row.mask for row in rows] == [Path("deep/b.png"), None]
