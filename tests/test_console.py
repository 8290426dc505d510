import pytest

from editar_cli.console import Messages


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
