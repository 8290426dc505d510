"""Runs over a folder of faults that are killed, stopped, short of disk and robbed of their sources.

Whatever happens: no file under a final name is ever incomplete, nothing is lost or done twice, what
is resumed ends as what was left alone, byte for byte, and exit codes tell the truth.
"""

import contextlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.test_edit import photo
from tests.conftest import subprocess_settings
from tests.fault_files import Fault, write_faults
from tests.test_faults import check_made, check_told

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="signals and file systems are Linux's"),
]

KILLS = 20
INSTRUCTION = "make it snowy, don't stop"
WORDS = ("edit", "in", INSTRUCTION, "-r", "--batch-size", "2", "-o")


@dataclass(frozen=True)
class Folder:
    """``in/`` below a folder, and what an undisturbed run makes of it.

    Args:
        root: the folder.
        faults: what ``in/`` holds, good and bad.
        expected: bytes of each result, by its path below the output folder.
        start: starts ``editar`` there.
    """

    root: Path
    faults: tuple[Fault, ...]
    expected: dict[str, bytes]
    start: "Callable[..., subprocess.Popen[bytes]]"


def finished(folder: Path) -> dict[str, Path]:
    """Files under final names."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = {file.relative_to(folder).as_posix(): file for file in files}
    return {
        name: file
        for name, file in names.items()
        if not file.name.startswith(".") and name != "manifest.jsonl"
    }


def unfinished(folder: Path) -> list[str]:
    """What runs have there while they are at work."""
    return [file.name for file in folder.rglob(".*") if file.is_file()]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: file.read_bytes() for name, file in finished(folder).items()}


def records(folder: Path) -> list[dict[str, object]]:
    """Whole lines of the manifest."""
    found = []
    for line in (folder / "manifest.jsonl").read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_bundle) -> Folder:
    """More than 50 kinds of odd input among 120 plain pictures, and one run over all of them."""
    root = tmp_path_factory.mktemp("faults")
    (root / "in").mkdir()
    faults = write_faults(root / "in")
    assert len(faults) >= 24
    for number in range(120):
        photo(root / f"in/plain/{number}.png", 300, 200, seed=number)

    def start(*words: str, folder: Path = root) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "editar_cli", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **subprocess_settings(), "EDITAR_MODEL": str(tiny_bundle), "EDITAR_DEVICE": "cpu"
            },
            # A suite started in the background ignores Ctrl-C; its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    process = start(*WORDS, "undisturbed")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    check_told(faults, errors.decode("utf-8", "surrogateescape"))
    expected = contents(root / "undisturbed")
    assert sum(name.startswith("plain/") for name in expected) == 120
    return Folder(root, faults, expected, start)


def check_ended(folder: Folder, output: Path) -> None:
    """All is there, as if nothing had happened, and the same command finds nothing to do."""
    assert contents(output) == folder.expected
    assert unfinished(output) == []
    made = [line["output"] for line in records(output) if line["status"] == "done"]
    assert set(made) == set(folder.expected)
    process = folder.start(*WORDS, str(output), "--json")
    out, errors = process.communicate(timeout=300)
    # What is bad is tried and told again.
    assert process.returncode == 1, errors
    ends = [json.loads(line)["status"] for line in out.splitlines()]
    bad = sum(fault.fate == "told" for fault in folder.faults)
    assert ends.count("failed") == bad
    assert ends.count("skipped") == len(ends) - bad == len(folder.expected)


def test_killed_twenty_times_a_run_ends_as_one_that_was_left_alone(undisturbed, tmp_path):
    draw = random.Random(5)
    output = tmp_path / "out"
    kept: dict[str, tuple[int, int]] = {}
    seen = []
    for kill in range(KILLS):
        process = undisturbed.start(*WORDS, str(output))
        if kill % 4 == 0:
            # Anywhere from the first import to the first results.
            time.sleep(draw.uniform(0.1, 4.0))
        else:
            # In the midst of reading, drawing and writing.
            for _ in range(draw.randrange(1, 5)):
                process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was over before"
        files = finished(output) if output.exists() else {}
        for name, file in files.items():
            assert file.read_bytes() == undisturbed.expected[name], f"{name} after kill {kill}"
        # A file that was finished stays the very file that it was.
        marks = {name: (f.stat().st_ino, f.stat().st_mtime_ns) for name, f in files.items()}
        assert kept.items() <= marks.items()
        kept = marks
        seen.append(len(files))
    print(f"pictures finished after each of {KILLS} kills: {seen}")
    assert 0 < seen[KILLS // 2] < seen[-1] < len(undisturbed.expected)

    process = undisturbed.start(*WORDS, str(output))
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    check_told(undisturbed.faults, errors.decode("utf-8", "surrogateescape"))
    assert out.count(b"/plain/") + sum(name.startswith("plain/") for name in kept) == 120
    marks = {name: (f.stat().st_ino, f.stat().st_mtime_ns) for name, f in finished(output).items()}
    assert kept.items() <= marks.items()
    check_made([fault for fault in undisturbed.faults if fault.fate == "made"], output)
    # A line goes before its file: of a process that is killed in between, two pictures at most.
    made = [line["output"] for line in records(output) if line["status"] == "done"]
    assert len(made) - len(set(made)) <= 2 * KILLS
    check_ended(undisturbed, output)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_that_ctrl_c_prints_does_the_rest(
    undisturbed, tmp_path, editar_on_path, tiny_bundle, sign, code
):
    output = tmp_path / "two words"
    process = undisturbed.start(*WORDS, str(output), "--overwrite")
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(sign)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    stopped = contents(output)
    assert 20 <= len(stopped) < len(undisturbed.expected)
    assert stopped.items() <= undisturbed.expected.items()
    assert unfinished(output) == []
    (line,) = [line for line in errors.decode().splitlines() if "To go on: " in line]
    command = line.split("To go on: ")[1]
    assert shlex.split(command) == ["editar", *WORDS, str(output)]
    settings = {"PATH": editar_on_path, "EDITAR_MODEL": str(tiny_bundle), "EDITAR_DEVICE": "cpu"}
    rest = subprocess.run(
        ["bash", "-c", command],
        cwd=undisturbed.root,
        capture_output=True,
        env={**subprocess_settings(), **settings},
    )
    assert rest.returncode == 1, rest.stderr
    assert len(rest.stdout.splitlines()) >= len(undisturbed.expected) - len(stopped)
    check_ended(undisturbed, output)


# Disks.


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small file system of its own at ``folder``; gives a function that changes its options."""
    folder.mkdir()

    def mount(*words: str) -> None:
        done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")

    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mount("-t", "tmpfs", "-o", f"size={size}", "none")
    try:
        yield lambda options: mount("-o", f"remount,{options}")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_fails_pictures_and_leaves_no_half_of_one(undisturbed, tmp_path):
    output = tmp_path / "disk"
    with disk(output, "1m") as remount:
        process = undisturbed.start(*WORDS, str(output))
        out, errors = process.communicate(timeout=300)
        said = errors.decode("utf-8", "surrogateescape")
        assert process.returncode == 1, said
        assert "Traceback" not in said
        made = contents(output)
        assert 0 < len(made) < len(undisturbed.expected)
        assert made.items() <= undisturbed.expected.items()
        assert unfinished(output) == []
        # What could not be written is told, what could be is printed, and nothing is both.
        assert said.count("No space left on device") == len(undisturbed.expected) - len(made)
        assert out.count(b"/plain/") == sum(name.startswith("plain/") for name in made)
        remount("size=64m")
        process = undisturbed.start(*WORDS, str(output))
        assert process.communicate(timeout=300)[0].count(b"/plain/") == 120 - out.count(b"/plain/")
        assert process.returncode == 1
        check_ended(undisturbed, output)


def test_a_folder_that_takes_no_files_is_told_before_a_model_loads(undisturbed, tmp_path):
    with contextlib.ExitStack() as stack:
        output = tmp_path / "disk"
        if os.geteuid() == 0:
            # Modes do not bind root; a disk that is read-only does.
            stack.enter_context(disk(output, "64m"))("ro")
        else:
            output.mkdir(mode=0o555)
        process = undisturbed.start(*WORDS, str(output), "--model", "none")
        out, errors = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, b"")
        assert f"{output}/ cannot be written to; -o names another place" in errors.decode()
        assert list(output.iterdir()) == []


def test_a_folder_that_takes_no_more_files_is_no_failure_where_all_is_done(undisturbed, tmp_path):
    photo(tmp_path / "photos/a.png")
    with disk(tmp_path / "out", "8m") as remount:
        for expected in (b"out/a.png\n", b""):
            process = undisturbed.start("edit", "photos", "x", "-o", "out", folder=tmp_path)
            out, errors = process.communicate(timeout=60)
            assert (process.returncode, out) == (0, expected), errors
            remount("ro")


# Sources.


def test_a_source_that_vanishes_mid_run_fails_alone(undisturbed, tmp_path):
    for number in range(30):
        photo(tmp_path / f"photos/{number}.png", 300, 200, seed=number)
    data = (tmp_path / "photos/29.png").read_bytes()
    words = ("edit", "photos", INSTRUCTION, "--batch-size", "2", "-o", "out")
    process = undisturbed.start(*words, folder=tmp_path)
    process.stdout.readline()
    (tmp_path / "photos/29.png").unlink()
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert b"error: photos/29.png: No such file or directory" in errors
    assert b"1 of 30 pictures failed" in errors
    assert len(out.splitlines()) == 28
    (tmp_path / "photos/29.png").write_bytes(data)
    process = undisturbed.start(*words, folder=tmp_path)
    out, errors = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, b"out/29.png\n"), errors


def test_when_all_sources_vanish_mid_run_the_rest_fails_one_by_one(undisturbed, tmp_path):
    for number in range(60):
        photo(tmp_path / f"photos/{number}.png", 300, 200, seed=number)
    words = ("edit", "photos", INSTRUCTION, "--batch-size", "2", "-o", "out")
    process = undisturbed.start(*words, folder=tmp_path)
    first = process.stdout.readline()
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert b"Traceback" not in errors
    made = len((first + out).splitlines())
    assert 0 < made < 60
    assert f"{60 - made} of 60 pictures failed".encode() in errors
    assert len(finished(tmp_path / "out")) == made
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    process = undisturbed.start(*words, folder=tmp_path)
    assert len(process.communicate(timeout=100)[0].splitlines()) == 60 - made
    assert process.returncode == 0
