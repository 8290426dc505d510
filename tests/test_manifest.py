import json
import os
import subprocess
import sys

import pytest

from editar_cli.manifest import NAME, Fingerprint, Manifest, digest_of
from tests.conftest import subprocess_settings


def line(output="a.png", status="done", **more):
    return {
        "input": f"../{output}",
        "output": output,
        "status": status,
        "input_size": 5,
        "input_mtime_ns": 6,
        "input_hash": "source",
        "output_size": 7,
        "output_mtime_ns": 8,
        "output_hash": "result",
        "settings": {"guidance": 3.0, "dtype": "float32"},
        "settings_hash": "x",
        **more,
    }


def test_what_is_written_is_read_and_a_later_line_wins(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.append(line())
    manifest.append(line("ü/b.png", seed=3))
    manifest.append(line(settings_hash="y"))
    read = Manifest(tmp_path)
    assert len(read) == 2
    entry = read.done("a.png")
    assert (entry.settings, entry.input, entry.dtype) == ("y", "../a.png", "float32")
    assert entry.source == Fingerprint(5, 6, "source")
    assert entry.made == Fingerprint(7, 8, "result")
    assert read.record("ü/b.png")["seed"] == 3
    assert read.record("c.png") is None
    assert [record["output"] for record in read.records()] == ["ü/b.png", "a.png"]


def test_a_failure_does_not_hide_what_was_made_before(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.append(line())
    manifest.append(line(status="failed", error="bad"))
    manifest.refresh()
    assert manifest.has_failed("a.png")
    assert manifest.done("a.png").settings == "x"
    assert [record["status"] for record in manifest.records()] == ["failed"]
    manifest.append(line())
    manifest.refresh()
    assert not manifest.has_failed("a.png")


@pytest.mark.parametrize("cut", [1, 30, -2, -1])
def test_a_torn_last_line_is_ignored_and_healed(tmp_path, cut):
    manifest = Manifest(tmp_path)
    manifest.append(line("a.png"))
    manifest.append(line("b.png"))
    manifest.close()
    data = (tmp_path / NAME).read_bytes()
    start = data.index(b"\n") + 1
    (tmp_path / NAME).write_bytes(data[:start] + data[start:][:cut])
    again = Manifest(tmp_path)
    assert [record["output"] for record in again.records()] == ["a.png"]
    again.append(line("c.png"))
    again.refresh()
    assert again.done("c.png") and again.done("a.png")
    whole = [record["output"] for record in Manifest(tmp_path).records()]
    # Where only the end of the line was missing it is a line again.
    assert whole == (["a.png", "b.png", "c.png"] if cut == -1 else ["a.png", "c.png"])


def test_lines_that_are_not_ours_are_ignored(tmp_path):
    (tmp_path / NAME).write_bytes(b'\n[]\n{"output": 3}\n{"a": 1}\nnull\n\xff\xfe\n')
    assert len(Manifest(tmp_path)) == 0


def test_what_others_append_is_found(tmp_path):
    ours, other = Manifest(tmp_path), Manifest(tmp_path)
    assert not ours.refresh()
    other.append(line())
    assert ours.done("a.png") is None
    assert ours.refresh()
    assert ours.done("a.png") is not None
    assert not ours.refresh()


def test_lines_of_processes_that_write_at_once_are_whole(tmp_path):
    code = (
        "import sys; from pathlib import Path; from editar_cli.manifest import Manifest\n"
        "manifest = Manifest(Path('.'))\n"
        "for i in range(300):\n"
        "    manifest.append({'output': f'{sys.argv[1]}-{i}', 'text': 'x' * 5000})"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)], cwd=tmp_path, env=subprocess_settings()
        )
        for number in range(3)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    records = [json.loads(text) for text in (tmp_path / NAME).read_text().splitlines()]
    names = [record["output"] for record in records]
    assert sorted(names) == sorted(f"{number}-{i}" for number in range(3) for i in range(300))


def test_lines_that_count_no_more_are_dropped_when_they_are_many(tmp_path):
    manifest = Manifest(tmp_path)
    for number in range(1100):
        manifest.append(line(seed=number))
    manifest.append(line("b.png"))
    manifest.append(line("b.png", status="failed"))
    watching = Manifest(tmp_path)
    manifest.compact()
    lines = (tmp_path / NAME).read_text().splitlines()
    assert [(json.loads(text)["output"], json.loads(text).get("seed")) for text in lines] == [
        ("a.png", 1099),
        ("b.png", None),
        ("b.png", None),
    ]
    assert os.listdir(tmp_path) == [NAME]
    # Who has read the old file reads the new one.
    manifest.append(line("c.png"))
    assert watching.refresh()
    assert watching.record("a.png")["seed"] == 1099
    assert watching.done("b.png") and watching.has_failed("b.png") and watching.done("c.png")


def test_a_few_lines_more_are_left_alone(tmp_path):
    manifest = Manifest(tmp_path)
    for number in range(10):
        manifest.append(line(seed=number))
    manifest.compact()
    assert len((tmp_path / NAME).read_text().splitlines()) == 10


def test_a_name_that_is_no_text_is_written_and_read(tmp_path):
    manifest = Manifest(tmp_path)
    name = os.fsdecode(b"\xff.png")
    manifest.append(line(name))
    assert Manifest(tmp_path).record(name)["output"] == name


def test_a_fingerprint_is_of_the_content(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    known = Fingerprint.of(file)
    assert known.size == 5 and known.fits(file) and known.fits_at_sight(file)
    os.utime(file, ns=(1, 1))
    assert known.fits(file) and not known.fits_at_sight(file)
    file.write_bytes(b"12346")
    assert not known.fits(file)
    file.unlink()
    assert not known.fits_at_sight(file)


def test_settings_have_one_digest_in_any_order():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.5})
