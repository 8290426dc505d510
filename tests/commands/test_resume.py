"""Runs that are stopped, repeated, changed, shared out, or that meet one another: from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands.test_edit import photo
from tests.conftest import subprocess_settings
from tests.lora_files import tiny_lora_layers, write_lora


@pytest.fixture
def edit(call_editar, tiny_bundle):
    """`editar edit ARGS... --model TINY`."""

    def run(*args, **more):
        return call_editar("edit", *args, "--model", tiny_bundle, "--device", "cpu", **more)

    return run


def start(tmp_path, bundle, *args):
    """`editar edit photos ARGS...` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "editar_cli", "edit", *args, "--model", bundle, "--device", "cpu"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=subprocess_settings(),
    )


def contents(folder):
    """Relative path -> bytes of all files but the manifest."""
    files = [file for file in Path(folder).rglob("*") if file.is_file()]
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in files
        if file.name != "manifest.jsonl"
    }


def lines(folder):
    return [json.loads(text) for text in (Path(folder) / "manifest.jsonl").read_text().splitlines()]


def test_a_picture_is_made_again_when_its_adapter_was_trained_on(edit, tmp_path):
    photo(tmp_path / "photos/0.png")
    lora = write_lora(tmp_path / "look", tiny_lora_layers(dim=32))
    command = ("photos", "x", "-o", "out", "--lora", f"{lora}:0.5", "--json")

    def status():
        done = edit(*command)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["status"]

    assert [status(), status()] == ["done", "skipped"]
    before = contents(tmp_path / "out")
    write_lora(tmp_path / "look", tiny_lora_layers(dim=32, seed=1))
    assert status() == "done"
    assert contents(tmp_path / "out") != before
    missing = edit("photos", "x", "--lora", "nowhere")
    assert missing.returncode == 2 and b"--lora nowhere: no such folder" in missing.stderr


def test_changed_settings_are_named_and_done_again(edit, tmp_path):
    for number in range(3):
        photo(tmp_path / f"photos/{number}.png", seed=number)
    assert edit("photos", "x", "-o", "out").returncode == 0
    again = edit("photos", "x", "-o", "out", "--json")
    assert again.returncode == 0
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["skipped"] * 3
    before = contents(tmp_path / "out")
    plan = edit("photos", "y", "-o", "out", "--guidance", "3", "--dry-run")
    assert plan.stdout.count(b"(again: other settings)") == 3
    changed = edit("photos", "y", "-o", "out", "--guidance", "3")
    assert changed.returncode == 0, changed.stderr
    assert b"again: 3 outputs (out/0.png, ...), because of other settings" in changed.stderr
    assert b"(guidance, instruction)" in changed.stderr
    assert b"skipped" not in changed.stderr
    assert len(changed.stdout.splitlines()) == 3
    assert contents(tmp_path / "out") != before
    # The model's own default, spelt out, is no other setting.
    same = edit("photos", "y", "-o", "out", "--guidance", "3", "--top-k", "16", "--preserve")
    assert b"skipped: 3 outputs" in same.stderr
    assert {line["settings"]["model"] for line in lines(tmp_path / "out")} == {"tiny"}
    assert {line["settings"]["dtype"] for line in lines(tmp_path / "out")} == {"float32"}


def test_a_dry_run_of_what_is_done_loads_no_torch(edit, tiny_bundle, tmp_path):
    photo(tmp_path / "photos/a.png")
    assert edit("photos", "x", "-o", "out").returncode == 0
    code = (
        "import sys; from editar_cli import cli; sys.argv = ['editar', *sys.argv[1:]]\n"
        "try: cli.main()\n"
        "finally: print('torch' in sys.modules)"
    )
    words = ["edit", "photos", "x", "-o", "out", "--model", tiny_bundle, "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=subprocess_settings(),
    )
    assert "already there, skipped" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


def test_in_place_over_a_folder_goes_on_where_it_was(edit, tmp_path):
    for number in range(3):
        photo(tmp_path / f"photos/{number}.png", seed=number)
    assert edit("photos", "x", "--in-place").returncode == 0
    once = contents(tmp_path / "photos")
    again = edit("photos", "x", "--in-place")
    assert again.returncode == 0
    assert b"skipped: 3 outputs" in again.stderr
    assert contents(tmp_path / "photos") == once


def test_shards_make_what_one_run_makes(call_editar, tmp_path):
    for number in range(9):
        photo(tmp_path / f"photos/{number}.png", seed=number)
    words = ["translate", "--mode", "canny", "photos", "--map-only"]
    assert call_editar(*words, "-o", "whole").returncode == 0
    said = b""
    for number in (1, 2, 3):
        part = call_editar(*words, "-o", "shared", "--shard", f"{number}/3")
        assert part.returncode == 0, part.stderr
        said += part.stderr
    assert said.count(b"of 9 pictures are in this shard") == 3
    assert contents(tmp_path / "shared") == contents(tmp_path / "whole")
    assert len(lines(tmp_path / "shared")) == 9
    wrong = call_editar(*words, "-o", "shared", "--shard", "4/3")
    assert wrong.returncode == 2
    assert b"--shard 4/3: must be I/N" in wrong.stderr


def test_translate_keeps_account_too(call_editar, tiny_bundle, tmp_path):
    photo(tmp_path / "photos/a.png")
    words = ["translate", "--mode", "canny", "photos", "--map-only"]
    assert call_editar(*words).returncode == 0
    assert b"skipped" in call_editar(*words).stderr
    again = call_editar(*words, "--low", "0.3")
    assert b"because of other settings (low)" in again.stderr
    words = ["translate", "--mode", "canny", "photos", "-o", "out", "--model", tiny_bundle]
    assert call_editar(*words, "a lake").returncode == 0
    (line,) = lines(tmp_path / "out")
    assert (line["caption"], line["settings"]["mode"]) == ("a lake", "canny")
    assert b"skipped" in call_editar(*words, "a lake").stderr
    assert b"other settings (caption)" in call_editar(*words, "a hill").stderr


def test_killed_at_any_moment_a_run_is_finished_by_the_same_command(tiny_bundle, tmp_path):
    for number in range(24):
        photo(tmp_path / f"photos/{number}.png", width=300, height=200, seed=number)
    words = ["photos", "x", "--batch-size", "2", "-o"]
    kept = []
    for count in (1, 4, 2):
        run = start(tmp_path, tiny_bundle, *words, "out")
        for _ in range(count):
            run.stdout.readline()
        time.sleep(0.01 * count)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        files = contents(tmp_path / "out")
        finished = {name: data for name, data in files.items() if not name.startswith(".")}
        for before in kept:
            assert before.items() <= finished.items()
        kept.append(finished)
    assert 0 < len(kept[-1]) < 24
    for folder in ("out", "undisturbed"):
        run = start(tmp_path, tiny_bundle, *words, folder)
        _, err = run.communicate()
        assert run.returncode == 0, err
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    # Nothing was done twice, but what had a line and no name yet.
    done = [line["output"] for line in lines(tmp_path / "out")]
    assert set(done) == set(contents(tmp_path / "out"))
    assert len(done) <= 24 + 3 * 2


def test_two_processes_on_one_folder_share_its_pictures(tiny_bundle, tmp_path):
    for number in range(40):
        photo(tmp_path / f"photos/{number}.png", width=300, height=200, seed=number)
    words = ["photos", "x", "-o", "out", "--batch-size", "2"]
    runs = [start(tmp_path, tiny_bundle, *words) for _ in range(2)]
    told = [run.communicate(timeout=200) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    printed = [out.decode().split() for out, _ in told]
    assert sorted(printed[0] + printed[1]) == sorted(f"out/{number}.png" for number in range(40))
    assert sorted(line["output"] for line in lines(tmp_path / "out")) == sorted(
        f"{number}.png" for number in range(40)
    )
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        ["manifest.jsonl", *(f"{number}.png" for number in range(40))]
    )


def test_after_ctrl_c_nothing_but_results_is_left_in_the_folder(tiny_bundle, tmp_path):
    for number in range(60):
        photo(tmp_path / f"photos/{number}.png", width=300, height=200, seed=number)
    run = start(tmp_path, tiny_bundle, "photos", "x", "-o", "out", "--batch-size", "2")
    run.stdout.readline()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 130, err
    assert b"To go on: editar edit photos x -o out" in err
    names = set(os.listdir(tmp_path / "out"))
    assert {name for name in names if name.startswith(".")} == set()
    assert names - {"manifest.jsonl"} == {line["output"] for line in lines(tmp_path / "out")}


def test_another_mask_is_another_setting_and_a_sheet_is_none(call_editar, tiny_bundle, tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.linear_gradient("L").convert("RGB").save(tmp_path / "in" / name)
    mask = tmp_path / "mask.png"
    Image.new("L", (256, 256), 255).save(mask)
    words = ("edit", "in", "x", "-o", "out", "--mask", mask, "--model", tiny_bundle)

    def done(*more):
        result = call_editar(*words, *more)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout.decode().split()

    assert done() == ["out/a.png", "out/b.png"]
    assert done() == []
    assert done("--sheet", "sheet.png") == []
    Image.new("L", (256, 256), 0).save(mask)
    assert done() == ["out/a.png", "out/b.png"]
    assert done() == []
