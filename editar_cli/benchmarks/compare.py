"""Runs of one benchmark side by side: differences by picture, and which of them are real.

Figures are compared over all rows and in each group of them: families of `bench mini`, kinds of
edit of PIE-Bench, modes of `bench translate`. Rows of one photograph are drawn together.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from editar_cli.benchmarks.pie_data import TYPES
from editar_cli.benchmarks.statistics import (
    Difference,
    Mean,
    bootstrap_mean,
    holm,
    least_pairs,
    paired_difference,
)
from editar_cli.errors import UsageError

RESULTS = "results.json"

# Which figures are better when lower; of those that are in neither set the direction is not said.
_LOWER = frozenset(
    {"ratio", "changed", "ratio_inside", "structure_distance"}
    | {"lpips_unedit_part", "mse_unedit_part"}
)
_HIGHER = frozenset(
    {"way", "edges", "psnr_outside", "psnr_unedit_part", "ssim_unedit_part"}
    | {"clip_similarity_target_image", "clip_similarity_target_image_edit_part"}
)


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """The figures of one row of a run.

    Args:
        key: what identifies it among those of its run.
        unit: the photograph it is of: rows of one are not independent.
        group: its family, kind of edit or mode.
        values: figure -> value, ``None`` where it could not be computed.
    """

    key: str
    unit: str
    group: str
    values: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class BenchRun:
    """What a benchmark left in a folder.

    Args:
        name: the folder's.
        benchmark: which.
        rows: by their keys.
    """

    name: str
    benchmark: str
    rows: Mapping[str, RunRow]

    @property
    def figures(self) -> list[str]:
        """All that some row has."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row.values))

    @property
    def groups(self) -> list[str]:
        """In the order of the rows."""
        return list(dict.fromkeys(row.group for row in self.rows.values()))

    def values(self, figure: str, group: str | None = None) -> dict[str, float | None]:
        """Row -> value of those rows, all or a group's, that have the figure."""
        return {
            key: row.values[figure]
            for key, row in self.rows.items()
            if figure in row.values and group in (None, row.group)
        }

    def mean(self, figure: str, group: str | None = None) -> Mean:
        """Of a figure over all rows or a group's."""
        values = self.values(figure, group)
        return bootstrap_mean(list(values.values()), units=[self.rows[key].unit for key in values])


def read_run(folder: Path) -> BenchRun:
    """Read results.json of a folder, or the file itself.

    Raises:
        UsageError: there is none, or it is of no benchmark whose rows can be compared.
    """
    file = folder / RESULTS if folder.is_dir() else folder
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        benchmark = str(record["benchmark"])
        rows = {row.key: row for row in _READERS[benchmark](record)}
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file}: is no result of {', '.join(_READERS)} ({type(error).__name__}: {error})"
        ) from error
    return BenchRun(name=str(folder), benchmark=benchmark, rows=rows)


def _pie_rows(record: Mapping[str, Any]) -> list[RunRow]:
    return [
        RunRow(
            key=row["key"],
            unit=row["key"],
            group=TYPES[row["type"]],
            values={name: _number_of(value) for name, value in row["values"].items()},
        )
        for row in record["rows"]
    ]


def _mini_rows(record: Mapping[str, Any]) -> list[RunRow]:
    """Beside the rows' own figures ``way``: how much of the way to the true edit was gone.

    It is 1 less the ratio, and 0 where the output lies farther from the truth than the source: the
    mean ratio is at the mercy of a few outputs that went far too far, the mean way is not.
    """
    rows = []
    for row in record["rows"]:
        way = None if row["ratio"] is None else max(0.0, 1 - row["ratio"])
        rows.append(
            (row, {"way": way, **{name: row[name] for name in ("ratio", "edges", "changed")}})
        )
    for row in record["local_rows"]:
        inside = row["output_inside"] / max(row["source_inside"], 1e-6)
        rows.append((row, {"ratio_inside": inside, "psnr_outside": row["psnr_outside"]}))
    return [
        RunRow(
            key=f"{row['photo']} / {row['family']}",
            unit=row["photo"],
            group=row["family"],
            values={name: _number_of(value) for name, value in values.items()},
        )
        for row, values in rows
    ]


def _translate_rows(record: Mapping[str, Any]) -> list[RunRow]:
    return [
        RunRow(
            key=f"{mode['mode']} / {row['photo']}",
            unit=row["photo"],
            group=mode["mode"],
            values={name: _number_of(value) for name, value in row["output"].items()},
        )
        for mode in record["modes"]
        for row in mode["rows"]
    ]


_READERS = {"pie-bench": _pie_rows, "mini": _mini_rows, "translate": _translate_rows}


def _number_of(value: float | str | None) -> float | None:
    """JSON has no infinity: it is the string inf."""
    return None if value is None else float(value)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of several runs.

    Args:
        figure: its name in the rows.
        group: the rows it is of; ``None`` for all.
        means: of each run.
        differences: of each run after the first, to the first; p is adjusted for all comparisons
            over all rows, or for all in groups.
    """

    figure: str
    group: str | None
    means: Sequence[Mean]
    differences: Sequence[Difference]

    def verdicts(self) -> list[str]:
        """For each difference whether it is real, and to the better or the worse."""
        said = []
        for difference in self.differences:
            if not difference.real or difference.mean is None:
                said.append("no")
            elif self.figure in _LOWER:
                said.append("better" if difference.mean < 0 else "worse")
            elif self.figure in _HIGHER:
                said.append("better" if difference.mean > 0 else "worse")
            else:
                said.append("yes")
        return said


def compare(runs: Sequence[BenchRun]) -> list[Comparison]:
    """Line up two runs or more, figure by figure; the first is what others are compared with.

    Over all rows first, then group by group where there are several.

    Raises:
        UsageError: fewer than two, different benchmarks, or no row that both have.
    """
    if len(runs) < 2:
        raise UsageError("two runs or more are needed to compare")
    if len(kinds := sorted({run.benchmark for run in runs})) > 1:
        raise UsageError(f"runs of {' and '.join(kinds)} cannot be compared")
    first, *others = runs
    units = {key: row.unit for key, row in first.rows.items()}
    found = []
    for group in (None, *(first.groups if len(first.groups) > 1 else ())):
        for figure in first.figures:
            means = [run.mean(figure, group) for run in runs]
            if any(mean.mean is None for mean in means):
                continue
            values = first.values(figure, group)
            found.append(
                Comparison(
                    figure=figure,
                    group=group,
                    means=means,
                    differences=[
                        paired_difference(values, run.values(figure, group), units=units)
                        for run in others
                    ],
                )
            )
    if not any(difference.pairs for one in found for difference in one.differences):
        raise UsageError(f"{first.name} and {others[0].name} have no row in common")
    return _adjusted(found)


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """The same with every p adjusted for all comparisons that answer the same question.

    Whether runs differ over all rows is one question, in which groups they do another.
    """
    fair: dict[tuple[int, int], float] = {}
    for overall in (True, False):
        p_values = {
            (i, j): difference.p
            for i, one in enumerate(found)
            for j, difference in enumerate(one.differences)
            if difference.p is not None and (one.group is None) == overall
        }
        fair.update(zip(p_values, holm(list(p_values.values())), strict=True))
    return [
        replace(
            one,
            differences=[
                replace(difference, p=fair.get((i, j)))
                for j, difference in enumerate(one.differences)
            ],
        )
        for i, one in enumerate(found)
    ]


def comparison_table(
    runs: Sequence[BenchRun], found: Sequence[Comparison]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and rows of text: means, then for each further run its difference to the first."""
    headers = ["figure", *(run.name for run in runs)]
    for run in runs[1:]:
        headers += [f"{run.name} less first", "pairs", "p", "real"]
    rows = []
    for one in found:
        figure = one.figure if one.group is None else f"{one.group}: {one.figure}"
        row = [figure, *(_number(mean.mean) for mean in one.means)]
        for difference, verdict in zip(one.differences, one.verdicts(), strict=True):
            text = _number(difference.mean)
            if difference.low is not None and difference.high is not None:
                text += f" [{_number(difference.low)}, {_number(difference.high)}]"
            row += [text, str(difference.pairs), _number(difference.p), verdict]
        rows.append(tuple(row))
    return tuple(headers), rows


def comparison_record(runs: Sequence[BenchRun], found: Sequence[Comparison]) -> dict[str, object]:
    """All of it for JSON, by figure: over all rows, and by group."""
    figures: dict[str, dict[str, Any]] = {}
    for one in found:
        record = {
            "means": [
                {name: _plain(value) for name, value in asdict(mean).items()} for mean in one.means
            ],
            "differences": [
                {**asdict(difference), "real": difference.real, "verdict": verdict}
                for difference, verdict in zip(one.differences, one.verdicts(), strict=True)
            ],
        }
        if one.group is None:
            figures[one.figure] = {**record, "groups": {}}
        else:
            figures[one.figure]["groups"][one.group] = record
    return {
        "benchmark": runs[0].benchmark,
        "runs": [run.name for run in runs],
        "comparisons": {
            "overall": sum(len(one.differences) for one in found if one.group is None),
            "groups": sum(len(one.differences) for one in found if one.group is not None),
        },
        "figures": figures,
    }


def _plain(value: float | None) -> float | str | None:
    return "inf" if value == float("inf") else value


def conclusion(runs: Sequence[BenchRun], found: Sequence[Comparison]) -> list[str]:
    """What may be said of each run after the first, in a sentence, and what could not be told."""
    lines = []
    overall = [one for one in found if one.group is None]
    groups = [one for one in found if one.group is not None]
    for i, run in enumerate(runs[1:]):
        real = [f"{one.figure} ({v})" for one in overall if (v := one.verdicts()[i]) != "no"]
        count = sum(one.differences[i].real for one in groups)
        by_group = f"; {count} of {len(groups)} differences by group are" if groups else ""
        if real:
            lines.append(f"{run.name}: real over all rows are {', '.join(real)}{by_group}")
        else:
            lines.append(f"{run.name}: no difference over all rows is real{by_group}")
    comparisons = sum(len(one.differences) for one in groups)
    needed = least_pairs(comparisons)
    if groups and all(d.pairs < needed for one in groups for d in one.differences):
        lines.append(
            f"groups have too few pairs for any verdict: among {comparisons} comparisons at least "
            f"{needed} are needed"
        )
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
