"""What `bench pie-bench` leaves in its folder.

::

    output/        the pictures that were made (not with --score-only)
    settings.json  what they were made with: a run that goes on must have the same
    results.json   settings, versions, hashes, means with intervals, all rows, what was missing
    rows.csv       the rows, one per edit
    table.md       the table with published rows beside it
    report.html    sources and results, with the figures of each
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from editar_cli.benchmarks.pie_bench import COLUMNS, HEADERS, PieResult, PieRow, table
from editar_cli.benchmarks.pie_data import IMAGES, TYPES
from editar_cli.benchmarks.published import PIE_BENCH, SOURCE
from editar_cli.benchmarks.report import RESULTS, versions
from editar_cli.benchmarks.statistics import Mean
from editar_cli.images import write_image
from editar_cli.report import Heading, write_report

_NAN_POLICY = (
    "figures that cannot be computed (no such network, an empty part, no output) are null, left "
    "out of means and counted as missing; an infinite PSNR (equal parts) is the string inf and "
    "makes the mean infinite"
)


def write_pie_results(
    run: Path, data: Path, outputs: Path, result: PieResult, facts: Mapping[str, object]
) -> None:
    """Write all but the pictures; results.json comes last.

    Args:
        run: the folder, which exists.
        data: the PIE-Bench folder.
        outputs: where the pictures lie.
        result: the figures.
        facts: settings and identities, into results.json before the figures.

    Raises:
        ImageError: a file cannot be written.
    """
    title = str(facts.get("title", "PIE-Bench"))
    write_image(run / "rows.csv", _csv(result).encode())
    write_image(run / "table.md", markdown(result, title).encode())
    write_report(
        run / "report.html",
        [_record(row, data, outputs) for row in result.rows],
        Heading(facts={"benchmark": title}),
    )
    record = {
        "benchmark": "pie-bench",
        **facts,
        "versions": versions(),
        "policy": _NAN_POLICY,
        "missing": dict(result.missing),
        "edits": len(result.rows),
        "failed": sum(row.error is not None for row in result.rows),
        "means": _means(result.means()),
        "by_type": {TYPES[kind]: _means(result.means(kind)) for kind in result.types},
        "published": {
            "source": SOURCE,
            "columns": [column.title for column in COLUMNS],
            "rows": {name: list(values) for name, values in PIE_BENCH.items()},
        },
        "rows": [
            {
                "key": row.case.key,
                "image": row.case.image,
                "type": row.case.type,
                "instruction": row.case.instruction,
                "error": row.error,
                "values": {name: _plain(value) for name, value in row.values.items()},
            }
            for row in result.rows
        ],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_image(run / RESULTS, (text + "\n").encode())


def markdown(result: PieResult, title: str) -> str:
    """The table as Markdown: ours with intervals, by kind of edit, and published rows."""
    rule = "|---" + "|--:" * (len(HEADERS) - 1) + "|"
    lines = [
        f"# {title}",
        "",
        "Means and their 95 % bootstrap intervals over pictures.",
        "",
        "| " + " | ".join(HEADERS) + " |",
        rule,
        *("| " + " | ".join(row) + " |" for row in table(result)),
        "",
        f"Published ({SOURCE}); ? is not known here:",
        "",
        "| " + " | ".join(("", *(column.title for column in COLUMNS))) + " |",
        "|---" + "|--:" * len(COLUMNS) + "|",
    ]
    for name, values in PIE_BENCH.items():
        cells = ("?" if value is None else f"{value:.2f}" for value in values)
        lines.append("| " + " | ".join((name, *cells)) + " |")
    lines += ["", *(f"Missing: {name}: {why}" for name, why in result.missing.items())]
    return "\n".join(lines).rstrip() + "\n"


def _means(means: Mapping[str, Mean]) -> dict[str, dict[str, object]]:
    return {
        name: {key: _plain(value) for key, value in asdict(mean).items()}
        for name, mean in means.items()
    }


def _plain(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "inf" if value == float("inf") else value


def _csv(result: PieResult) -> str:
    text = io.StringIO()
    names = ["key", "image", "type", "instruction", *(column.name for column in COLUMNS), "error"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in result.rows:
        case = row.case
        values = [_plain(row.values[column.name]) for column in COLUMNS]
        cells = [case.key, case.image, case.type, case.instruction, *values, row.error]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()


def _record(row: PieRow, data: Path, outputs: Path) -> dict[str, object]:
    from editar_cli.benchmarks.pie_bench import find_output

    notes = [
        f"{column.title}: {column.scale * value:.2f}"
        for column in COLUMNS
        if (value := row.values[column.name]) is not None
    ]
    record: dict[str, object] = {
        "input": str(data / IMAGES / row.case.image),
        "instruction": row.case.instruction,
        "status": "done" if row.error is None else "failed",
        "notes": [f"{row.case.type} {TYPES[row.case.type]}", *notes],
    }
    if row.error is not None:
        return {**record, "output": "", "error": row.error}
    return {**record, "output": str(find_output(outputs, row.case))}
