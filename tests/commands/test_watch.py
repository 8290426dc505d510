"""A drop folder: what comes in is done once it is at rest, whatever else comes in."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import typer
from PIL import Image

from editar_cli.batch import Placement, Plan, plan_jobs
from editar_cli.commands._account import Account
from editar_cli.commands._errand import Errand
from editar_cli.commands._review import Review
from editar_cli.commands._watch import watch
from editar_cli.console import Messages
from editar_cli.ledger import Ledger
from editar_cli.pipeline import Made
from editar_cli.runners._runner import Making, Session
from editar_cli.runners.local import Local
from tests.conftest import subprocess_settings


class Inverter:
    """Inverts pictures; ``seen`` are the names of those it was shown."""

    def __init__(self):
        self.facts = {"model": "fake", "dtype": "float32"}
        self.seen = []

    def picture_seed(self, key, seed=None):
        return 1

    def prepare(self, asked):
        self.seen.append(Path(asked.source.name).name)
        return asked.source

    def stream(self, prepared, **more):
        for index, source in enumerate(prepared):
            yield index, 255 - source.pixels

    def finish(self, prepared, result):
        return Made(pixels=result, like=prepared)


@pytest.fixture
def drop(tmp_path, monkeypatch):
    """Watches the folder ``in`` while steps are done, one after each look that found nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("editar_cli.watching.QUIET", 0.0)
    Path("in").mkdir()

    def run(*steps, shard=(1, 1), most_failures=None, report=None, **placement):
        maker = Inverter()
        waiting = iter(steps)

        def sleep(seconds):
            step = next(waiting, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr("editar_cli.commands._watch.time.sleep", sleep)
        where = Placement(**{"output": None if placement.get("in_place") else "out", **placement})
        ledger = Ledger(lambda: {"guidance": 3}, on_exists=where.on_exists, in_place=where.in_place)
        errand = Errand(
            words=["in"],
            make_plan=partial(
                plan_jobs, ["in"], "x", where, recursive=True, ledger=ledger, shard=shard
            ),
            opening=lambda seat: Session(maker, slots=2, threads=0),
            making=Making(),
            done="inverted",
            ledger=ledger,
            in_place=where.in_place,
            most_failures=most_failures,
        )
        review = Review(Plan(), Messages(), page=report)
        account = Account(Messages(), review, json_lines=False)
        with pytest.raises((KeyboardInterrupt, typer.Exit)) as end:
            watch(Local(errand.opening, errand.making, ledger), account, errand)
        return maker.seen, end.type

    return run


def picture(name, colour=(10, 20, 30)):
    """A step that puts a picture into the folder."""

    def put():
        file = Path("in", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), colour).save(file)

    return put


def nothing():
    """A step in which nothing comes."""


def colour_of(name):
    with Image.open(name) as image:
        return image.getpixel((0, 0))


def test_what_comes_is_done_in_its_place_and_printed(drop, capsys):
    seen, end = drop(picture("b.png"), nothing, picture("deep/a.png"), nothing)
    assert end is KeyboardInterrupt
    assert seen == ["b.png", "a.png"]
    assert colour_of("out/b.png") == colour_of("out/deep/a.png") == (245, 235, 225)
    said = capsys.readouterr()
    assert said.out == "out/b.png\nout/deep/a.png\n"
    assert said.err.splitlines()[0] == "watching in; Ctrl-C ends it"
    assert ": 2 pictures inverted" in said.err
    assert "stopped; what is finished is kept" in said.err.splitlines()[-1]


def test_what_was_there_before_is_done_and_what_is_done_is_told(drop, capsys):
    picture("a.png")()
    picture("b.png")()
    assert drop()[0] == ["a.png", "b.png"]
    picture("c.png")()
    capsys.readouterr()
    assert drop()[0] == ["c.png"]
    assert "skipped: 2 outputs (out/a.png, ...) already there" in capsys.readouterr().err


def test_a_bad_file_fails_once_and_is_tried_again_when_it_changes(drop, capsys):
    def bad():
        Path("in/a.png").write_bytes(b"no picture")

    seen, _ = drop(bad, nothing, nothing, picture("b.png"), nothing, picture("a.png"), nothing)
    assert seen == ["b.png", "a.png"]
    said = capsys.readouterr().err
    assert said.count("error: in/a.png") == 1
    assert ": 2 pictures inverted, 1 failed" in said
    lines = Path("out/manifest.jsonl").read_text("utf-8").splitlines()
    statuses = [json.loads(line)["status"] for line in lines]
    assert statuses == ["failed", "done", "done"]


def test_a_picture_that_changes_is_done_again(drop):
    seen, _ = drop(picture("a.png"), nothing, picture("a.png", (200, 0, 0)), nothing)
    assert seen == ["a.png", "a.png"]
    assert colour_of("out/a.png") == (55, 255, 255)


def test_files_and_the_folder_itself_may_vanish(drop, capsys):
    def away():
        Path("in/a.png").unlink()
        Path("in").rmdir()

    seen, _ = drop(picture("a.png"), nothing, away, nothing, nothing, picture("b.png"), nothing)
    assert seen == ["a.png", "b.png"]
    assert capsys.readouterr().err.count("warning: in: no such file or folder") == 1


def test_of_two_pictures_for_one_output_the_first_is_done_and_the_other_told(drop, capsys):
    def both():
        picture("a.png")()
        picture("b.png")()
        picture("a.bmp", (0, 0, 0))()

    seen, _ = drop(both, nothing, nothing, nothing, format="png")
    assert sorted(seen) == ["a.bmp", "b.png"]
    assert colour_of("out/a.png") == (255, 255, 255)
    assert sorted(os.listdir("out")) == ["a.png", "b.png", "manifest.jsonl"]
    said = capsys.readouterr().err
    assert "left as they are, though made of other pictures: out/a.png" in said


@pytest.mark.parametrize("output", ["in", "in/out", None])
def test_its_own_outputs_are_no_inputs(drop, output):
    name = "{stem}_x{ext}" if output == "in" else None
    seen, _ = drop(picture("a.png"), *[nothing] * 4, output=output, name=name)
    assert seen == ["a.png"]


def test_in_place_each_picture_is_done_once(drop, capsys):
    seen, _ = drop(picture("a.png"), *[nothing] * 3, picture("b.png"), nothing, in_place=True)
    assert seen == ["a.png", "b.png"]
    assert colour_of("in/a.png") == (245, 235, 225)
    assert "skipped" not in capsys.readouterr().err
    seen, _ = drop(nothing, nothing, in_place=True)
    assert seen == []


def test_a_source_is_never_overwritten(drop, capsys):
    seen, _ = drop(
        picture("a_x.png"), nothing, picture("a.png"), nothing, nothing,
        output="in", name="{stem}_x{ext}", on_exists="overwrite",
    )  # fmt: skip
    assert seen == ["a_x.png"]
    assert colour_of("in/a_x.png") == (10, 20, 30)
    assert "in/a_x.png: is an input and would be overwritten" in capsys.readouterr().err


def test_pictures_of_other_shards_are_left(drop):
    names = [f"{number}.png" for number in range(6)]
    mine, other = (
        set(drop(*map(picture, names), nothing, shard=(number, 2))[0]) for number in (1, 2)
    )
    assert mine | other == set(names)
    assert mine and other and not mine & other


def test_too_many_failures_end_it_with_1(drop, capsys):
    def bad(name):
        return lambda: Path("in", name).write_bytes(b"no picture")

    seen, end = drop(bad("a.png"), picture("b.png"), bad("c.png"), nothing, most_failures=2)
    assert end is typer.Exit
    assert seen == ["b.png"]
    assert ": 1 picture inverted, 2 failed" in capsys.readouterr().err


def test_the_page_shows_all_that_came(drop):
    drop(picture("a.png"), nothing, picture("b.png"), nothing, report=Path("r.html"))
    text = Path("r.html").read_text("utf-8")
    assert "out/a.png" in text and "out/b.png" in text
    assert "more were to be done" not in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a.png", "x", "-o", "out"), "a.png is no folder"),
        (("in", "x", "-o", "-"), "--watch and -o -"),
        (("in", "x", "-o", "out.png"), "name a folder"),
        (("--from-file", "list.txt", "x", "-o", "out"), "--watch and --from-file"),
        (("in", "x", "-o", "out", "--feather", "2"), "--feather: needs --mask or --region"),
        (("in", "x", "-o", "out", "--mask", "gone"), "--mask gone"),
    ],
)
def test_what_cannot_be_watched_is_exit_code_2(call_editar, tiny_bundle, tmp_path, args, said):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9, 7)).save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\n")
    result = call_editar("edit", *args, "--watch", "--model", str(tiny_bundle))
    assert result.returncode == 2
    assert said in result.stderr.decode()


def test_a_dry_run_shows_what_is_there_and_ends(call_editar, tiny_bundle, tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    line = ("edit", "in", "x", "-o", "out", "--watch", "--dry-run", "--model", str(tiny_bundle))
    assert call_editar(*line).stdout == b""
    Image.new("RGB", (9, 7)).save(tmp_path / "in/deep/a.png")
    assert call_editar(*line).stdout == b"in/deep/a.png -> out/deep/a.png\n"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_real_drop_folder(tiny_bundle, tmp_path, stop):
    (tmp_path / "in").mkdir()
    words = ("edit", "in", "x", "-o", "out", "--watch", "--json", "--model", str(tiny_bundle))
    process = subprocess.Popen(
        [sys.executable, "-m", "editar_cli", *words, "--device", "cpu"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=subprocess_settings(),
    )
    try:
        whole = tmp_path / "whole.png"
        Image.effect_noise((60, 50), 80).convert("RGB").save(whole)
        data = whole.read_bytes()
        (tmp_path / "in/broken.png").write_bytes(data[: len(data) // 2])
        line = json.loads(process.stdout.readline())
        assert (line["input"], line["status"]) == ("in/broken.png", "failed")
        with (tmp_path / "in/slow.png").open("wb") as slow:
            for start in range(0, len(data), len(data) // 4):
                slow.write(data[start : start + len(data) // 4])
                slow.flush()
                time.sleep(0.5)
        (tmp_path / "in/gone.png").write_bytes(data)
        (tmp_path / "in/gone.png").unlink()
        line = json.loads(process.stdout.readline())
        assert (line["output"], line["status"]) == ("out/slow.png", "done")
        process.send_signal(stop)
        rest, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[stop], said
    assert rest == b""
    with Image.open(tmp_path / "out/slow.png") as image:
        assert image.size == (60, 50)
    assert sorted(os.listdir(tmp_path / "out")) == ["manifest.jsonl", "slow.png"]
    assert "1 picture edited, 1 failed" in said.decode()
    assert "\x1b" not in said.decode()
