"""Figures of a benchmark of pictures, and what it leaves in its folder.

::

    output/        the pictures that were made, where they were
    settings.json  what they were made with: a run that goes on must have the same
    results.json   settings, versions, hashes, means with intervals, all rows, what was missing
    rows.csv       the rows, one for each picture
    table.md       the table with published rows in it
    report.html    tables, distributions, the best, median and worst pictures of each figure
    pictures.html  every picture with its result and figures
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from editar_cli.benchmarks.report import RESULTS, versions
from editar_cli.benchmarks.statistics import Mean, bootstrap_mean
from editar_cli.images import write_image

REPORT = "report.html"
OUTPUTS = "output"
"""Folder of a run with the pictures that were made."""

POLICY = (
    "figures that cannot be computed (no such network, an empty part, no output) are null, left "
    "out of means and counted as missing; an infinite PSNR (equal parts) is the string inf and "
    "makes the mean infinite; a picture with several outputs has the means of their figures"
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure.

    Args:
        name: in results.json.
        title: in tables.
        better: whether higher or lower is better.
        scale: tables print the figure times this.
        of_set: it belongs to all pictures together and no single one has it.
        digits: after the point, in tables.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    scale: float = 1
    of_set: bool = False
    digits: int = 2


@dataclass(frozen=True, kw_only=True)
class Row:
    """The figures of one picture.

    Args:
        key: its name in the data set.
        values: by the names of columns; ``None`` where a figure cannot be computed.
        pictures: files to show, by what they are: "source", "map", "mask", "target", "output".
        text: what was asked for.
        type: its kind, in tables by kind; "" where there are none.
        facts: more of it, for results.json and rows.csv.
        error: why there are no figures at all, or ``None``.
    """

    key: str
    values: Mapping[str, float | None]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    text: str = ""
    type: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """Rows of papers.

    Args:
        columns: names of ours that they have.
        rows: figures by method, as printed; ``None`` is not known here.
        source: where they are from.
    """

    columns: Sequence[str]
    rows: Mapping[str, Sequence[float | None]]
    source: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """All of a run.

    Args:
        benchmark: its name.
        title: heading of tables and pages.
        label: what the run's own row is called.
        columns: its figures, in order.
        rows: one for each picture.
        whole: figures of all pictures together, by the names of columns with ``of_set``.
        missing: networks that could not be had, and why.
        published: rows of papers, or ``None``.
    """

    benchmark: str
    title: str
    label: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    whole: Mapping[str, Mean] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    published: Published | None = None

    def means(self, type: str | None = None) -> Mapping[str, Mean]:
        """Means over all rows or those of a kind, by the names of columns.

        Figures of all pictures together are there for ``None`` only.
        """
        return self._means[type]

    @cached_property
    def _means(self) -> dict[str | None, dict[str, Mean]]:
        # Tables, pages and files all ask, and ten thousand draws each take their time.
        found: dict[str | None, dict[str, Mean]] = {}
        for kind in (None, *self.types):
            rows = [row for row in self.rows if kind in (None, row.type)]
            found[kind] = {
                column.name: bootstrap_mean([row.values[column.name] for row in rows])
                for column in self.columns
                if not column.of_set
            }
        # In the order of the columns.
        alone = found[None] | dict(self.whole)
        found[None] = {column.name: alone[column.name] for column in self.columns}
        return found

    @property
    def types(self) -> list[str]:
        """Kinds that there are, in the order in which they come."""
        return [kind for kind in dict.fromkeys(row.type for row in self.rows) if kind]

    @property
    def failed(self) -> int:
        """Rows without an output that could be scored."""
        return sum(row.error is not None for row in self.rows)


def mean_values(samples: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The means of several outputs' figures; what one of them lacks is lacking."""
    found: dict[str, float | None] = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        there = [value for value in values if value is not None]
        found[name] = float(np.mean(there)) if len(there) == len(values) else None
    return found


def headers(result: Result) -> tuple[str, ...]:
    """Of ``table``."""
    return ("", "pictures", *(column.title for column in result.columns))


def table(result: Result) -> list[tuple[str, ...]]:
    """Rows of text under ``headers``: this run, each of its kinds, and rows of papers."""
    rows = [own_row(result), *type_rows(result)]
    return rows + published_rows(result)


def own_row(result: Result) -> tuple[str, ...]:
    """The run's row of a table; values with their intervals."""
    return _row(result, result.label, result.means(), len(result.rows))


def type_rows(result: Result) -> list[tuple[str, ...]]:
    """The run's kinds; a figure of all pictures together is left empty."""
    return [
        _row(result, kind, result.means(kind), sum(row.type == kind for row in result.rows))
        for kind in result.types
    ]


def published_rows(result: Result) -> list[tuple[str, ...]]:
    """Rows of papers; ? is not known here."""
    if result.published is None:
        return []
    rows = []
    for name, values in result.published.rows.items():
        printed = dict(zip(result.published.columns, values, strict=True))
        cells = []
        for column in result.columns:
            value = printed.get(column.name)
            cells.append("?" if value is None else f"{value:.2f}")
        rows.append((name, "", *cells))
    return rows


def _row(result: Result, label: str, means: Mapping[str, Mean], count: int) -> tuple[str, ...]:
    cells = (
        cell(means[column.name], column) if column.name in means else ""
        for column in result.columns
    )
    return (label, str(count), *cells)


def cell(mean: Mean, column: Column) -> str:
    """A mean as tables print it, with its interval."""
    if mean.mean is None:
        return "missing"
    text = f"{column.scale * mean.mean:.{column.digits}f}"
    if mean.low is not None and mean.high is not None:
        low, high = (f"{column.scale * bound:.{column.digits}f}" for bound in (mean.low, mean.high))
        text += f" [{low}, {high}]"
    return text


def write_results(run: Path, result: Result, facts: Mapping[str, object]) -> None:
    """Write all but the pictures; results.json comes last.

    Args:
        run: the folder, which exists.
        result: the figures.
        facts: settings and identities, into results.json before the figures.

    Raises:
        EditarError: a file cannot be written.
    """
    from editar_cli.benchmarks.page import write_page, write_pictures

    write_image(run / "rows.csv", _csv(result).encode())
    write_image(run / "table.md", markdown(result).encode())
    write_pictures(run / "pictures.html", result)
    write_page(run / REPORT, result, pictures="pictures.html")
    record = {
        "benchmark": result.benchmark,
        "title": result.title,
        **facts,
        "versions": versions(),
        "policy": POLICY,
        "missing": dict(result.missing),
        "pictures": len(result.rows),
        "failed": result.failed,
        "means": plain_means(result.means()),
        "by_type": {kind: plain_means(result.means(kind)) for kind in result.types},
        "published": _published(result),
        "rows": [
            {
                "key": row.key,
                **row.facts,
                "error": row.error,
                "values": {name: _plain(value) for name, value in row.values.items()},
            }
            for row in result.rows
        ],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_image(run / RESULTS, (text + "\n").encode())


def summary(result: Result) -> dict[str, object]:
    """The figures a script asks for first."""
    return {
        "benchmark": result.benchmark,
        "title": result.title,
        "pictures": len(result.rows),
        "failed": result.failed,
        "means": {name: _plain(mean.mean) for name, mean in result.means().items()},
        "missing": sorted(result.missing),
    }


def markdown(result: Result) -> str:
    """The table as Markdown."""
    titles = headers(result)
    lines = [
        f"# {result.title}",
        "",
        "Means and, in brackets, their 95 % bootstrap intervals over pictures.",
        "",
        "| " + " | ".join(titles) + " |",
        "|---" + "|--:" * (len(titles) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in table(result)),
    ]
    if result.published is not None:
        lines += ["", f"Rows without a number of pictures are published ones: "
                  f"{result.published.source}; ? is not known here."]  # fmt: skip
    lines += ["", *(f"Missing: {name}: {why}" for name, why in result.missing.items())]
    return "\n".join(lines).rstrip() + "\n"


def plain_means(means: Mapping[str, Mean]) -> dict[str, dict[str, object]]:
    """Means as JSON has them."""
    return {
        name: {key: _plain(value) for key, value in asdict(mean).items()}
        for name, mean in means.items()
    }


def _plain(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "inf" if value == float("inf") else value


def _published(result: Result) -> dict[str, object] | None:
    if result.published is None:
        return None
    return {
        "source": result.published.source,
        "columns": list(result.published.columns),
        "rows": {name: list(values) for name, values in result.published.rows.items()},
    }


def _csv(result: Result) -> str:
    text = io.StringIO()
    own = [column.name for column in result.columns if not column.of_set]
    facts = list(dict.fromkeys(name for row in result.rows for name in row.facts))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", *facts, *own, "why"])
    for row in result.rows:
        cells = [
            row.key,
            *(row.facts.get(name) for name in facts),
            *(_plain(row.values[name]) for name in own),
            row.error,
        ]
        writer.writerow(["" if value is None else value for value in cells])
    return text.getvalue()
