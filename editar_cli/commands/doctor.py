"""``editar doctor``: what is here, what is missing, and the line that mends it."""

import textwrap
from typing import Annotated

import typer

from editar_cli.console import Messages
from editar_cli.doctor import Diagnosis, State, examine

_WIDTH = 79
_MARKS: dict[State, str] = {"ok": "ok", "absent": "-", "warning": "!", "error": "ERROR"}


def doctor(
    test: Annotated[
        bool,
        typer.Option("--test", help="Make a small edit and import every optional package too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at versions, devices, memory, disk and models; say what is missing and how to get it.

    Exits with 0 where edits work, with 3 where they cannot.
    """
    with Messages().working("trying things out"):
        diagnosis = examine(test=test)
    print(diagnosis.to_json() if as_json else page(diagnosis, tested=test))
    if not diagnosis.works:
        raise typer.Exit(3)


def page(diagnosis: Diagnosis, *, tested: bool) -> str:
    """For people, in 79 columns; a line that mends something stays whole, to be copied."""
    lines: list[str] = []
    section = ""
    for finding in diagnosis.findings:
        if finding.section != section:
            section = finding.section
            lines += ([""] if lines else []) + [section]
        start = f"  {_MARKS[finding.state]:<6}{finding.name:<16} "
        lines += textwrap.wrap(
            finding.text,
            width=_WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [start.rstrip()]
        if finding.fix is not None:
            lines.append(f"{'':8}{finding.fix}")
    lines.append("")
    errors = [finding.name for finding in diagnosis.findings if finding.state == "error"]
    if errors:
        lines.append(f"Edits do not work here: see {', '.join(errors)} above.")
    elif tested:
        lines.append("Edits work.")
    else:
        lines.append("Nothing stands in the way of edits; --test makes one.")
    return "\n".join(lines)
