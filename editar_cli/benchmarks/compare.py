"""Runs of one benchmark side by side: differences by picture, and which of them are real."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editar_cli.benchmarks.statistics import (
    Difference,
    Mean,
    bootstrap_mean,
    paired_difference,
)
from editar_cli.errors import UsageError

RESULTS = "results.json"

# What identifies a row, by benchmark; the other numbers of a row are its figures.
_KEYS = {"pie-bench": ("key",), "mini": ("photo", "family"), "translate": ("mode", "photo")}


@dataclass(frozen=True, kw_only=True)
class BenchRun:
    """What a benchmark left in a folder.

    Args:
        name: the folder's.
        benchmark: which.
        figures: figure -> row -> value.
    """

    name: str
    benchmark: str
    figures: Mapping[str, Mapping[str, float | None]]


def read_run(folder: Path) -> BenchRun:
    """Read results.json of a folder, or the file itself.

    Raises:
        UsageError: there is none, or it is of no benchmark whose rows can be compared.
    """
    file = folder / RESULTS if folder.is_dir() else folder
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        benchmark = str(record["benchmark"])
        rows = _rows(record, benchmark)
        keys = _KEYS[benchmark]
        figures: dict[str, dict[str, float | None]] = {}
        for row in rows:
            name = " / ".join(str(row[key]) for key in keys)
            for figure, value in (row.get("values") or row).items():
                if isinstance(value, bool) or figure in (*keys, "seed"):
                    continue
                if value is None or value == "inf" or isinstance(value, (int, float)):
                    number = float(value) if value is not None else None
                    figures.setdefault(figure, {})[name] = number
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file}: is no result of {', '.join(_KEYS)} ({type(error).__name__}: {error})"
        ) from error
    return BenchRun(name=str(folder), benchmark=benchmark, figures=figures)


def _rows(record: Mapping[str, Any], benchmark: str) -> list[Mapping[str, Any]]:
    if benchmark == "translate":
        return [
            {"mode": mode["mode"], "photo": row["photo"], "values": row["output"]}
            for mode in record["modes"]
            for row in mode["rows"]
        ]
    return list(record["rows"])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of several runs.

    Args:
        figure: its name in the rows.
        means: of each run.
        differences: of each run after the first, to the first.
    """

    figure: str
    means: Sequence[Mean]
    differences: Sequence[Difference]


def compare(runs: Sequence[BenchRun]) -> list[Comparison]:
    """Line up two runs or more, figure by figure; the first is what others are compared with.

    Raises:
        UsageError: fewer than two, different benchmarks, or no row that both have.
    """
    if len(runs) < 2:
        raise UsageError("two runs or more are needed to compare")
    if len(kinds := sorted({run.benchmark for run in runs})) > 1:
        raise UsageError(f"runs of {' and '.join(kinds)} cannot be compared")
    first, *others = runs
    found = []
    for figure, values in first.figures.items():
        if not all(figure in run.figures for run in others):
            continue
        means = [bootstrap_mean(list(run.figures[figure].values())) for run in runs]
        if all(mean.mean is None for mean in means):
            continue
        found.append(
            Comparison(
                figure=figure,
                means=means,
                differences=[paired_difference(values, run.figures[figure]) for run in others],
            )
        )
    if not any(difference.pairs for one in found for difference in one.differences):
        raise UsageError(f"{first.name} and {others[0].name} have no row in common")
    return found


def comparison_table(
    runs: Sequence[BenchRun], found: Sequence[Comparison]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and rows of text: means, then for each further run its difference to the first."""
    headers = ["figure", *(run.name for run in runs)]
    for run in runs[1:]:
        headers += [f"{run.name} less first", "pairs", "real"]
    rows = []
    for one in found:
        row = [one.figure, *(_number(mean.mean) for mean in one.means)]
        for difference in one.differences:
            text = _number(difference.mean)
            if difference.low is not None and difference.high is not None:
                text += f" [{_number(difference.low)}, {_number(difference.high)}]"
            row += [text, str(difference.pairs), "yes" if difference.real else "no"]
        rows.append(tuple(row))
    return tuple(headers), rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
