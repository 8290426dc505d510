import os
import pty
import subprocess
import sys

import pytest

from editar_cli.console import Messages, pace
from tests.conftest import subprocess_settings


def say_everything(messages):
    messages.error("an error")
    messages.warning("a warning")
    messages.info("news")
    messages.detail("a detail")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quiet": True}, "error: an error\n"),
        ({}, "error: an error\nwarning: a warning\nnews\n"),
        ({"verbose": True}, "error: an error\nwarning: a warning\nnews\na detail\n"),
    ],
)
def test_each_verbosity_says_its_part_on_standard_error_only(capsys, settings, said):
    say_everything(Messages(**settings))
    assert capsys.readouterr() == ("", said)


def test_square_brackets_in_names_are_not_markup(capsys):
    Messages().info("[red]photo[1].jpg")
    assert capsys.readouterr().err == "[red]photo[1].jpg\n"


def test_long_lines_are_not_broken(capsys):
    Messages().info("a/" * 200)
    assert capsys.readouterr().err == "a/" * 200 + "\n"


def test_no_bar_is_drawn_where_no_terminal_shows_it(capsys):
    with Messages().progress(3) as show:
        show(1.5, "editing")
    assert capsys.readouterr() == ("", "")


def test_colours_appear_on_a_terminal_and_not_with_no_color(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    Messages().error("an error")
    assert "\x1b[" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    Messages().warning("a warning")
    assert "\x1b[3" not in capsys.readouterr().err


def test_a_table_goes_to_standard_error_in_columns_and_not_at_all_when_quiet(capsys):
    rows = [["snow", "0.41"], ["a [red] one", "1.00"], ["x" * 200, "2.00"]]
    Messages(quiet=True).table(["family", "ratio"], rows)
    assert capsys.readouterr() == ("", "")
    Messages().table(["family", "ratio"], rows)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split() for line in err.splitlines()] == [
        ["family", "ratio"], ["snow", "0.41"], ["a", "[red]", "one", "1.00"], ["x" * 200, "2.00"]
    ]  # fmt: skip


def test_the_pace_is_told_in_the_unit_that_reads_best():
    assert pace(0.2, 3.0) == ""
    assert pace(4, 10.0) == "2.5 s each"
    assert pace(30, 10.0) == "3.0 a second"


def on_a_terminal(code, stdout):
    """Runs code whose standard error is a terminal; (standard output, what the terminal showed)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=theirs if stdout == "terminal" else subprocess.PIPE,
        stderr=theirs, env={**subprocess_settings(), "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    out = process.stdout.read() if process.stdout else b""
    assert process.wait() == 0, shown
    os.close(ours)
    return out.decode(), shown.decode()


RUN = """
import time
from editar_cli.console import Messages
messages = Messages()
with messages.working("loading the model"):
    time.sleep(0.2)
with messages.progress(4) as show:
    for done in range(1, 5):
        time.sleep(0.15)
        show(done, "editing 2, writing 1")
        print(f"out/{done}.png", flush=True)
        messages.error(f"bad [{done}]")
"""


def test_results_stay_out_of_the_terminal_that_shows_the_bar():
    out, shown = on_a_terminal(RUN, "pipe")
    assert out == "out/1.png\nout/2.png\nout/3.png\nout/4.png\n"
    assert "out/" not in shown
    for text in ("loading the model", "editing 2, writing 1", "/4", "a second", "bad [3]"):
        assert text in shown


def test_where_both_are_the_terminal_results_are_shown_above_the_bar():
    _, shown = on_a_terminal(RUN, "terminal")
    assert all(f"out/{done}.png" in shown for done in range(1, 5))
