from pathlib import Path

import pytest
from PIL import Image

from editar_cli.discovery import natural_key, split_caption, split_positionals
from editar_cli.errors import UsageError
from editar_cli.lists import Row


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with photos/ in it: a.jpg, b2.png, b10.png, notes.txt, deep/c.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/b10.png", "photos/b2.png", "photos/deep/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), (10, 20, 30)).save(path)
    (tmp_path / "photos/notes.txt").write_text("no picture")
    return tmp_path


def test_the_last_word_is_the_instruction():
    assert split_positionals(["a.jpg", "b.jpg", "do it"], None) == (["a.jpg", "b.jpg"], "do it")


def test_with_the_flag_every_word_is_an_input():
    assert split_positionals(["a.jpg", "b.jpg"], "do it") == (["a.jpg", "b.jpg"], "do it")


@pytest.mark.parametrize("items", [["photos/a.jpg"], ["photos"], ["x.jpg", "-"], []])
def test_a_last_word_that_is_an_input_means_no_instruction(folder, items):
    with pytest.raises(UsageError, match="no instruction"):
        split_positionals(items, None)


def test_an_instruction_alone_means_no_picture(folder):
    with pytest.raises(UsageError, match="no picture"):
        split_positionals(["make it snowy"], None)


def test_an_empty_instruction_is_refused():
    with pytest.raises(UsageError, match="empty"):
        split_positionals(["a.jpg", "  "], None)


def test_a_list_with_all_instructions_makes_every_word_an_input():
    full = [Row(image=Path("a.jpg"), key="a.jpg", text="x")]
    assert split_positionals([], None, full) == ([], None)
    assert split_positionals(["b.jpg"], "y", full) == (["b.jpg"], "y")


def test_a_list_that_lacks_an_instruction_needs_one_but_no_other_picture():
    bare = [Row(image=Path("a.jpg"), key="a.jpg")]
    assert split_positionals(["do it"], None, bare) == ([], "do it")
    with pytest.raises(UsageError, match="no instruction"):
        split_positionals([], None, bare)


@pytest.mark.parametrize(
    ("items", "caption"),
    [
        (["photos/a.jpg", "a winter evening"], "a winter evening"),
        (["photos/a.jpg", "photos/b2.png", "snow"], "snow"),
        (["photos", "a.b, or c/d"], "a.b, or c/d"),
        (["photos", ""], ""),
        (["-", "snow"], "snow"),
        (["photos/*.png", "snow"], "snow"),
        (["photos", "x" * 5000], "x" * 5000),
    ],
)
def test_a_last_word_that_can_be_nothing_else_is_the_caption(folder, items, caption):
    assert split_caption(items, None) == (items[:-1], caption)


@pytest.mark.parametrize(
    "items",
    [
        [],
        ["snow"],
        ["photos/a.jpg"],
        ["photos/a.jpg", "photos"],
        ["photos/a.jpg", "photos/b2.png"],
        ["photos/a.jpg", "-"],
        ["photos/a.jpg", "b*.png"],
        ["photos/a.jpg", "what is this?"],
        ["photos/a.jpg", "missing.jpg"],
        ["photos/a.jpg", "missing/"],
    ],
)
def test_a_last_word_that_may_be_an_input_is_no_caption(folder, items):
    assert split_caption(items, None) == (items, None)


def test_with_a_caption_by_flag_every_word_is_an_input(folder):
    assert split_caption(["photos", "snow"], "fog") == (["photos", "snow"], "fog")
    assert split_caption(["photos", "snow"], "") == (["photos", "snow"], "")


def test_with_a_list_a_single_word_can_be_the_caption(folder):
    assert split_caption(["snow"], None, other_inputs=True) == ([], "snow")
    assert split_caption(["photos"], None, other_inputs=True) == (["photos"], None)


def test_natural_order_counts_numbers():
    names = ["a10", "a9", "B1", "a010b", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "a9", "a10", "a010b", "B1"]
