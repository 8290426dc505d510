"""A folder with everything that goes wrong, and runs that are stopped in every way."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.fault_files import FAULTS, Fault, write_faults


def settings(bundle: Path) -> dict[str, str]:
    return {"EDITAR_MODEL": str(bundle), "EDITAR_DEVICE": "cpu"}


def files(folder: Path) -> set[str]:
    """Files below a folder that are no record of a run."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not Path(name).name.startswith(("manifest", ".editar"))}


def named(name: str, errors: str) -> int:
    """How often an error is about this file."""
    return errors.count(f"error: in/{name}: ")


def check_made(faults: Sequence[Fault], folder: Path) -> None:
    """Every good picture is there, whole, with its size and mode, and nothing else is."""
    assert files(folder) == {fault.name for fault in faults if fault.fate == "made"}
    for fault in faults:
        if fault.fate == "made":
            with Image.open(folder / fault.name) as image:
                image.load()
                assert (image.size, image.mode) == (fault.size, fault.mode), fault.name
                assert image.getexif().get(0x0112, 1) == 1, fault.name


def check_told(faults: Sequence[Fault], errors: str) -> None:
    """Every bad picture is named once, and nothing else is."""
    assert "Traceback" not in errors
    for fault in faults:
        assert named(fault.name, errors) == (fault.fate == "told"), (fault.name, errors)
        if fault.fate == "told":
            (line,) = [line for line in errors.splitlines() if f"in/{fault.name}: " in line]
            assert fault.shows in line


def test_one_folder_holds_at_least_24_kinds_of_odd_input():
    assert len(FAULTS) >= 50
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert sum(fault.fate == "told" for fault in FAULTS) >= 10


@pytest.mark.skipif(sys.platform != "linux", reason="names and links are those of Linux")
def test_of_a_folder_of_faults_all_that_is_good_is_made_and_all_that_is_bad_is_told(
    call_editar, tiny_bundle, tmp_path
):
    (tmp_path / "in").mkdir()
    faults = write_faults(tmp_path / "in")
    before = {name: (tmp_path / "in" / name).lstat().st_mtime_ns for name in files(tmp_path / "in")}
    line = ("edit", "in", "make it snowy", "-r", "-o", "out")
    result = call_editar(*line, env=settings(tiny_bundle))
    errors = result.stderr.decode()
    assert result.returncode == 1, errors
    check_made(faults, tmp_path / "out")
    check_told(faults, errors)
    bad = sum(fault.fate == "told" for fault in faults)
    made = sorted(fault.name for fault in faults if fault.fate == "made")
    assert f"error: {bad} of {bad + len(made)} pictures failed" in errors
    # Standard output has every result once, by the bytes of its name.
    for name in made:
        assert result.stdout.count(os.fsencode(f"out/{name}\n")) == 1, name
    assert len(result.stdout) == sum(len(os.fsencode(f"out/{name}\n")) for name in made)
    # The folder itself is as it was.
    after = {name: (tmp_path / "in" / name).lstat().st_mtime_ns for name in files(tmp_path / "in")}
    assert after == before

    again = call_editar(*line, "--json", env=settings(tiny_bundle))
    assert again.returncode == 1
    records = [json.loads(text) for text in again.stdout.decode().splitlines()]
    ends = {record["input"]: record["status"] for record in records}
    assert len(ends) == len(records) == bad + len(made)
    for fault in faults:
        if fault.fate != "left":
            expected = "failed" if fault.fate == "told" else "skipped"
            assert ends[f"in/{fault.name}"] == expected, fault.name
    check_told(faults, again.stderr.decode())
