import os
import subprocess
import sys
from pathlib import Path

import pytest

import editar_cli
from editar_cli import cli
from editar_cli.errors import CheckpointError, ImageError, UsageError

ROOT = str(Path(editar_cli.__file__).parent.parent)


def test_version_is_the_packages(run_editar):
    result = run_editar("--version")
    assert result.returncode == 0
    assert result.stdout.decode().strip() == f"editar {editar_cli.__version__}"


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("--version",),
        ("edit", "--help"),
        ("translate", "--help"),
        ("report", "--help"),
        ("bench", "mini", "--help"),
    ],
)
def test_help_and_version_load_nothing_heavy(run_editar, args):
    result = run_editar(*args, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.decode().splitlines()}
    assert "typer" in loaded
    heavy = {"torch", "numpy", "PIL", "rich", "transformers", "tokenizers", "safetensors"}
    assert not loaded & heavy


def test_every_command_has_help(run_editar):
    for args in (
        ("edit",),
        ("translate",),
        ("bench", "mini"),
        ("bench", "translate"),
        ("train", "tokenizer"),
        ("train", "editor"),
        ("train", "depth"),
        ("weights", "pull"),
    ):
        assert run_editar(*args, "--help").returncode == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong word"), 2),
        (CheckpointError("no weights"), 3),
        (ImageError("bad picture"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes_and_one_line(monkeypatch, capsys, error, code):
    def fail():
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == code
    said = capsys.readouterr().err
    assert said == (f"error: {error}\n" if str(error) else "")


def test_a_programming_mistake_keeps_its_traceback(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_help_into_a_closed_pipe_is_no_traceback():
    process = subprocess.Popen(
        [sys.executable, "-m", "editar_cli", "edit", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(30) in (0, 1)
    assert errors == b""
