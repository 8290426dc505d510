import sys
from pathlib import Path

import pytest
import typer

from editar_cli.batch import Job, Plan
from editar_cli.commands._account import Account, how_to_go_on
from editar_cli.commands._errand import Errand
from editar_cli.commands._review import Review
from editar_cli.commands._run import ready_to_run, run
from editar_cli.console import Messages
from editar_cli.errors import ImageError, UsageError
from editar_cli.ledger import Ledger
from editar_cli.pipeline import Made
from editar_cli.runners._runner import Making, Session
from editar_cli.runners.local import Local


def test_how_to_go_on_skips_what_is_finished(monkeypatch):
    words = ["/bin/editar", "edit", "in dir", "x", "--overwrite", "--on-exists", "overwrite"]
    monkeypatch.setattr(sys, "argv", words)
    said = how_to_go_on(in_place=False, rule_given=True)
    assert said.endswith("editar edit 'in dir' x --on-exists overwrite --on-exists skip")
    assert "once more" in how_to_go_on(in_place=True, rule_given=False)


def test_how_to_go_on_repeats_the_command_that_was_stopped(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["editar", "translate", "--mode", "depth", "photos"])
    said = how_to_go_on(in_place=False, rule_given=False)
    assert said.endswith("To go on: editar translate --mode depth photos")


def job(name, output="out.png"):
    return Job(
        source=Path(name),
        output=None if output is None else Path(output),
        key=name,
        instruction="a lake",
        asked="caption",
    )


def test_what_is_planned_is_said_before_it_is_done(capsys):
    plan = Plan(jobs=[job("a.png")], skipped=[job("b.png")], folders=[Path("x.depth")], captioned=2)
    assert ready_to_run(plan, Messages(), json_lines=False, dry_run=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "results go to x.depth/",
        "captions: 2 from text files beside their pictures",
        "skipped: out.png already there; --overwrite replaces, -o names another place",
    ]


def test_a_dry_run_prints_the_plan_and_ends_there(capsys):
    plan = Plan(jobs=[job("a.png")], skipped=[job("b.png")], captioned=2)
    assert not ready_to_run(plan, Messages(), json_lines=False, dry_run=True)
    said = capsys.readouterr()
    assert said.out == "a.png -> out.png\nb.png -> out.png (already there, skipped)\n"
    assert said.err == ""


def test_where_all_is_there_nothing_is_left_to_do():
    plan = Plan(skipped=[job("b.png")])
    assert not ready_to_run(plan, Messages(quiet=True), json_lines=False, dry_run=False)


def test_a_picture_does_not_go_to_a_terminal(monkeypatch):
    plan = Plan(jobs=[job("a.png", output=None)])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="terminal"):
        ready_to_run(plan, Messages(), json_lines=False, dry_run=False)


class Maker:
    """Refuses every picture, or has a note on it."""

    def __init__(self, refuse):
        self.refuse = refuse
        self.facts = {"model": "fake"}

    def picture_seed(self, key, seed=None):
        return 1

    def prepare(self, asked):
        if self.refuse is True:
            raise ImageError(f"{asked.source.name}: is no map")
        return asked.source

    def stream(self, prepared, *, slots, on_fewer_slots, **more):
        if self.refuse == "stop":
            raise KeyboardInterrupt
        if self.refuse == "fewer":
            on_fewer_slots(slots // 2)
        yield from enumerate(prepared)

    def finish(self, prepared, result):
        return Made(pixels=result.pixels, like=prepared, notes=("inverted",))


@pytest.fixture
def plan(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(name)
    return Plan(jobs=[job(name, f"out/{name}") for name in ("a.png", "b.png")])


def start(plan, refuse, report=None, **more):
    session = Session(Maker(refuse), slots=2, threads=1)
    errand = Errand(
        words=["a.png"],
        make_plan=lambda **ready: plan,
        opening=lambda seat: session,
        making=Making(doing="drawing maps"),
        done="mapped",
        ledger=Ledger(),
        **more,
    )
    account = Account(Messages(), Review(plan, Messages(), page=report), json_lines=False)
    run(plan, Local(errand.opening, errand.making, errand.ledger), account, errand)


def test_results_go_to_standard_output_and_notes_to_standard_error(plan, capsys):
    start(plan, False)
    said = capsys.readouterr()
    assert said.out == "out/a.png\nout/b.png\n"
    assert said.err.splitlines() == ["a.png: inverted", "b.png: inverted", "2 pictures mapped"]


def test_fewer_pictures_at_once_are_told(plan, capsys):
    start(plan, "fewer")
    assert "memory ran out: going on with 1 pictures at once" in capsys.readouterr().err


def test_failures_are_counted_and_are_exit_code_1(plan, capsys):
    with pytest.raises(typer.Exit) as leaving:
        start(plan, True)
    assert leaving.value.exit_code == 1
    assert "error: 2 of 2 pictures failed" in capsys.readouterr().err


def test_fail_fast_stops_at_the_first_failure(plan, capsys):
    with pytest.raises(typer.Exit):
        start(plan, True, most_failures=1)
    assert "b.png: is no map" not in capsys.readouterr().err


def test_a_run_stops_when_as_many_have_failed_as_it_may_stand(plan, capsys):
    plan.jobs.append(job("a.png", "out/c.png"))
    with pytest.raises(typer.Exit):
        start(plan, True, most_failures=2)
    said = capsys.readouterr().err
    assert said.count("is no map") == 2
    assert "2 of 3 pictures failed" in said


def test_ctrl_c_says_how_to_go_on(plan, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["editar", "translate", "photos"])
    with pytest.raises(KeyboardInterrupt):
        start(plan, "stop")
    assert "To go on: editar translate photos" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["stop", True, False])
def test_a_report_is_written_whatever_the_end_is(plan, capsys, end):
    plan.skipped.append(job("skipped.png", "out/skipped.png"))
    if end is False:
        start(plan, end, report=Path("r.html"))
    else:
        with pytest.raises(KeyboardInterrupt if end == "stop" else typer.Exit):
            start(plan, end, report=Path("r.html"), most_failures=1)
    said = capsys.readouterr().err
    assert "report: r.html" in said
    text = Path("r.html").read_text("utf-8")
    left = {"stop": 2, True: 1, False: 0}[end]
    note = f"Stopped before the end: {left} more were to be done."
    assert (note in text) == bool(left)
    assert "skipped.png" in text
    assert ("To go on" in said) == (end == "stop")


def test_a_report_that_cannot_be_written_leaves_ctrl_c_what_it_is(plan, capsys):
    plan.skipped.append(job("skipped.png", "out/skipped.png"))
    with pytest.raises(KeyboardInterrupt):
        start(plan, "stop", report=Path("a.png/r.html"))
    assert "error: --report" in capsys.readouterr().err
    with pytest.raises(typer.Exit) as leaving:
        start(plan, False, report=Path("a.png/r.html"))
    assert leaving.value.exit_code == 1
