"""``editar report``: a page of before and after from the record of runs that are over."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from editar_cli import options
from editar_cli.console import Messages
from editar_cli.manifest import NAME


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDS...",
            help="manifest.jsonl files, or what --json printed.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="The page. Default: report.html beside the first file.",
        ),
    ] = None,
    embed: Annotated[
        bool,
        typer.Option(
            "--embed",
            help="Put small copies of the pictures into the page, which can then be sent on alone.",
        ),
    ] = False,
    quiet: options.QuietOption = False,
) -> None:
    """Write a page of before and after from records of runs.

    \b
      editar report out/manifest.jsonl
      editar edit photos/ "at night" -o out/ --json > run.jsonl && editar report run.jsonl
    """
    from editar_cli.errors import UsageError
    from editar_cli.report import Heading, read_records, shared_settings, write_report

    messages = Messages(quiet=quiet)
    page = output or files[0].with_name("report.html")
    options.check_page(page, "-o")
    records = []
    for file in files:
        found = read_records(file)
        base = _base(file, found)
        records += [_placed(record, base) for record in found]
    if not records:
        raise UsageError(f"{files[0]}: holds no records")
    ended = max(file.stat().st_mtime for file in files)
    heading = Heading(facts=shared_settings(records), ended=datetime.fromtimestamp(ended))
    with messages.progress(len(records)) as show:
        write_report(page, records, heading, embed=embed, on_progress=show)
    print(page)


def _base(file: Path, records: Sequence[Mapping[str, object]]) -> Path:
    """Where relative paths start: in a manifest at its folder, in what ``--json`` printed where the
    run was: here where any of them leads to a file, else beside the list."""
    if file.name == NAME:
        return file.parent
    names = [str(record.get(name)) for record in records for name in ("input", "output")]
    return Path() if any(Path(name).is_file() for name in names) else file.parent


def _placed(record: Mapping[str, object], base: Path) -> dict[str, object]:
    from editar_cli.report import FILES, STREAM

    paths: dict[str, object] = {
        name: str(base / str(record[name]))
        for name in FILES
        if record.get(name) not in (None, "", STREAM)
    }
    candidates = record.get("candidates")
    if isinstance(candidates, list):
        paths["candidates"] = [str(base / str(name)) for name in candidates]
    return {**record, **paths}
