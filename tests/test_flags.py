"""Groups of flags, and where their values come from: flag, environment, file, default."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from editar_cli.errors import UsageError
from editar_cli.flags import Group, with_groups


class Kind(StrEnum):
    """Two kinds."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, kw_only=True)
class Sounds(Group):
    """Three flags."""

    loudness: Annotated[int, typer.Option("--loudness", "-l", min=0)] = 3
    kind: Annotated[Kind, typer.Option("--kind")] = Kind.LOW
    echo: Annotated[bool, typer.Option("--echo/--no-echo")] = True
    as_lines: Annotated[bool, typer.Option("--lines")] = False
    name: Annotated[str | None, typer.Option("--name")] = None


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs a command line of ``edit`` and gives back what the command was given."""
    monkeypatch.chdir(tmp_path)
    given = []
    app = typer.Typer()

    @app.command("edit")
    @with_groups
    def edit(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        only: Annotated[float, typer.Option("--only")] = 0.5,
        *,
        sounds: Sounds,
    ) -> None:
        """Edit."""
        given.append((words, only, sounds))

    @app.command("translate")
    @with_groups
    def translate(mode: Annotated[str, typer.Option("--mode")] = "", *, sounds: Sounds) -> None:
        """Translate."""
        given.append((mode, sounds))

    def run(*args, env=None, code=0):
        result = CliRunner().invoke(app, list(args), env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return given.pop() if given else result.output

    return run


def test_a_group_reaches_the_command_as_one_object(call):
    words, only, sounds = call("edit", "a", "b", "--only", "2", "-l", "7", "--no-echo", "--lines")
    assert (words, only) == (["a", "b"], 2.0)
    assert sounds == Sounds(loudness=7, echo=False, as_lines=True)


def test_flag_before_environment_before_file_before_default(call, tmp_path):
    (tmp_path / "c.toml").write_text('loudness = 5\nkind = "high"\necho = false\nlines = true\n')
    environment = {"EDITAR_LOUDNESS": "6", "EDITAR_ECHO": "1"}
    file = ("--config", "c.toml")
    assert call("edit")[2] == Sounds()
    assert call("edit", *file)[2] == Sounds(loudness=5, kind=Kind.HIGH, echo=False, as_lines=True)
    found = call("edit", *file, env=environment)[2]
    assert found == Sounds(loudness=6, kind=Kind.HIGH, echo=True, as_lines=True)
    assert call("edit", "--loudness", "7", *file, env=environment)[2].loudness == 7
    assert call("edit", env={"EDITAR_CONFIG": "c.toml"})[2].loudness == 5


def test_a_file_may_serve_both_commands(call, tmp_path):
    (tmp_path / "c.toml").write_text(
        'loudness = 5\nmode = "canny"\n[edit]\nloudness = 6\nonly = 1.5\n[translate]\necho=false'
    )
    assert call("edit", "--config", "c.toml")[1:] == (1.5, Sounds(loudness=6))
    assert call("translate", "--config", "c.toml") == ("canny", Sounds(loudness=5, echo=False))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loudnes = 3", "loudnes is no flag.*do you mean loudness"),
        ("[edit]\nmode = 'x'", "edit.mode is no flag"),
        ("dry-run = true", "dry-run is no flag"),
        ("loudness", "is no TOML"),
        ("[loudness]\na = 1", "loudness must be a value"),
    ],
)
def test_a_wrong_file_is_refused_and_says_where(call, tmp_path, text, said):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError, match=f"c.toml: {said}"):
        call("edit", "--config", "c.toml")


def test_a_file_that_is_not_there_is_wrong_usage(call):
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        call("edit", "--config", "none.toml")


def test_a_value_of_the_wrong_kind_is_wrong_usage(call, tmp_path):
    (tmp_path / "c.toml").write_text('loudness = "much"')
    assert "loudness" in call("edit", "--config", "c.toml", code=2)


def test_what_is_saved_gives_the_same_again(call, tmp_path):
    args = ("-l", "9", "--kind", "high", "--no-echo", "--name", 'ö "x" \\ \x7f')
    first = call("edit", "a", *args, "--only", "0.25", "--save-config", "d/c.toml")
    assert (tmp_path / "d/c.toml").read_text().count("=") == 5
    assert call("edit", "a", "--config", "d/c.toml") == first
    # What came from elsewhere is saved as well.
    again = call(
        "edit", "a", "--config", "d/c.toml", "--save-config", "e.toml", env={"EDITAR_LINES": "1"}
    )
    assert call("edit", "a", "--config", "e.toml") == again
    assert again[2].as_lines


def test_a_place_that_cannot_be_written_is_said(call, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--save-config file/c\.toml: cannot be written"):
        call("edit", "--save-config", "file/c.toml")
