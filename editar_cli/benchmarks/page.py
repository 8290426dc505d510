"""The page of a benchmark: tables, how each figure is spread, its best, median and worst pictures.

One file that needs nothing else: pictures are small copies inside it, plots are SVG, and there is
no script. It is meant to be read at 1280 px and sent on.
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from editar_cli import __version__, images
from editar_cli.benchmarks.results import (
    Column,
    Result,
    Row,
    cell,
    own_row,
    published_rows,
    type_rows,
)
from editar_cli.benchmarks.statistics import Mean
from editar_cli.errors import ImageError
from editar_cli.images import write_image
from editar_cli.report import Heading, write_report

_SIDE = 240
"""Longest side of a picture on the page, in pixels."""
_BINS = 24
_PLOT = (520, 150)
_SHOWN = ("input", "map", "mask", "output")
"""What a record of ``report`` has paths of."""


def write_pictures(path: Path, result: Result) -> None:
    """Write the page of all pictures with their figures.

    Raises:
        EditarError: it cannot be written.
    """
    write_report(
        path, [_record(row, result) for row in result.rows], Heading(facts={"run": result.title})
    )


def _record(row: Row, result: Result) -> dict[str, object]:
    names = dict(row.pictures)
    output = names.pop("output", None)
    first = next(iter(names), None)
    notes = [row.type] if row.type else []
    notes += [
        f"{column.title}: {_number(value, column)}"
        for column in result.columns
        if (value := row.values.get(column.name)) is not None
    ]
    record: dict[str, object] = {
        "input": row.key if first is None else str(names[first]),
        "output": "" if output is None else str(output),
        "instruction": row.text,
        "status": "done" if row.error is None else "failed",
        "notes": notes,
    }
    record |= {name: str(file) for name, file in names.items() if name in _SHOWN and name != first}
    return record if row.error is None else {**record, "error": row.error}


def write_page(path: Path, result: Result, *, pictures: str) -> None:
    """Write the page of figures.

    Args:
        path: where.
        result: of the run.
        pictures: link to the page of all pictures.

    Raises:
        ImageError: it cannot be written.
    """
    folder = resources.files("editar_cli") / "_page"
    style = "".join((folder / name).read_text("utf-8") for name in ("page.css", "figures.css"))
    seal = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    means = result.means()
    thumbs = _Thumbs()
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<meta name="generator" content="editar {html.escape(__version__)}">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"base-uri 'none'; img-src data:; style-src 'sha256-{seal}'\">",
        f"<title>{html.escape(result.title)}</title>",
        f"<style>{style}</style></head><body>",
        _head(result, pictures),
        '<main class="figures">',
        "<h2>Means</h2>",
        "<p>In brackets the 95 % bootstrap interval over pictures.</p>",
        _table(result, [own_row(result)], published_rows(result)),
        *(_source(result)),
    ]
    if result.types:
        parts += ["<h2>By kind</h2>", _table(result, type_rows(result), [])]
    for column in result.columns:
        parts.append(_figure(column, result, means[column.name], thumbs))
    parts.append("</main></body></html>")
    write_image(path, "\n".join(parts).encode("utf-8", "replace"))


def _head(result: Result, pictures: str) -> str:
    count = len(result.rows)
    facts = [f"{count:,} picture{'' if count == 1 else 's'}", result.label]
    facts += [f"{result.failed:,} failed"] if result.failed else []
    spans = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts)
    missing = "".join(
        f'<p class="note">Missing: {html.escape(name)}: {html.escape(why)}</p>'
        for name, why in result.missing.items()
    )
    return (
        f'<header class="head"><div class="head-row"><h1>{html.escape(result.title)}</h1>'
        f'<a class="quiet" href="{html.escape(pictures)}">All pictures</a></div>'
        f'<p class="facts">{spans}</p>{missing}</header>'
    )


def _source(result: Result) -> list[str]:
    if result.published is None:
        return []
    source = html.escape(result.published.source)
    return [f"<p>Rows without a number of pictures are published ones: {source}; ? is not known "
            "here.</p>"]  # fmt: skip


def _table(result: Result, own: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> str:
    arrows = {"higher": "\u2191", "lower": "\u2193"}
    titles = "".join(
        f"<th>{html.escape(column.title)} {arrows[column.better]}</th>" for column in result.columns
    )
    body = []
    for kind, rows in (("own", own), ("other", others)):
        for label, count, *cells in rows:
            values = "".join(f"<td>{_in_two(text)}</td>" for text in cells)
            body.append(
                f'<tr class="{kind}"><th>{html.escape(label)}</th><td>{count}</td>{values}</tr>'
            )
    return (
        '<div class="wide"><table><thead><tr><th></th><th>pictures</th>'
        f"{titles}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _in_two(text: str) -> str:
    """A cell with its interval below the value."""
    value, bracket, interval = text.partition(" [")
    below = f"<small>[{html.escape(interval)}</small>" if bracket else ""
    return html.escape(value) + below


def _figure(column: Column, result: Result, mean: Mean, thumbs: "_Thumbs") -> str:
    said = f"{column.better} is better; mean {cell(mean, column)}"
    head = f"<h2>{html.escape(column.title)}</h2><p>{html.escape(said)}</p>"
    if column.of_set:
        return f"<section>{head}</section>"
    values = [(row, value) for row in result.rows if (value := row.values[column.name]) is not None]
    if not values:
        return f"<section>{head}<p>No picture has this figure.</p></section>"
    values.sort(key=lambda pair: (pair[1], pair[0].key), reverse=column.better == "higher")
    finite = [column.scale * value for _, value in values if np.isfinite(value)]
    without = len(result.rows) - len(values)
    notes = [f"{len(values) - len(finite)} infinite"] if len(finite) < len(values) else []
    notes += [f"{without} without this figure"] if without else []
    note = f"<p>{', '.join(notes)}</p>" if notes else ""
    plot = histogram(finite, mean, column) if finite else ""
    groups = "".join(
        f'<div class="rank"><h3>{name}</h3>'
        + "".join(_example(row, value, column, thumbs) for row, value in chosen)
        + "</div>"
        for name, chosen in _ranks(values)
    )
    return f'<section>{head}{plot}{note}<div class="ranks">{groups}</div></section>'


def _ranks(
    values: Sequence[tuple[Row, float]],
) -> list[tuple[str, Sequence[tuple[Row, float]]]]:
    """The best, median and worst of values that are sorted, the best first."""
    if len(values) < 3:
        return [("Best first", values)]
    each = 2 if len(values) >= 6 else 1
    middle = (len(values) - each + 1) // 2
    return [
        ("Best", values[:each]),
        ("Median", values[middle : middle + each]),
        ("Worst", values[: -each - 1 : -1]),
    ]


def _example(row: Row, value: float, column: Column, thumbs: "_Thumbs") -> str:
    shown = "".join(
        f'<span class="shot">{thumbs.of(file, name)}<small>{html.escape(name)}</small></span>'
        for name, file in row.pictures.items()
    )
    text = f"<p>{html.escape(row.text)}</p>" if row.text else ""
    return (
        f'<figure><div class="shots">{shown}</div><figcaption><b>{_number(value, column)}</b> '
        f"{html.escape(row.key)}{text}</figcaption></figure>"
    )


class _Thumbs:
    """Small copies as parts of a page."""

    def __init__(self) -> None:
        self._made: dict[Path, str] = {}

    def of(self, file: Path, name: str) -> str:
        """An ``img``, or why there is none."""
        if file not in self._made:
            try:
                data, extension = images.small_copy(file, _SIDE)
            except ImageError as error:
                self._made[file] = f'<span class="gone">{html.escape(str(error))}</span>'
            else:
                kind = {".jpg": "jpeg", ".webp": "webp"}[extension]
                code = base64.b64encode(data).decode()
                self._made[file] = (
                    f'<img src="data:image/{kind};base64,{code}" alt="{html.escape(name)}">'
                )
        return self._made[file]


def _number(value: float, column: Column) -> str:
    return "\u221e" if np.isinf(value) else f"{column.scale * value:.{column.digits}f}"


def histogram(values: Sequence[float], mean: Mean, column: Column) -> str:
    """How values are spread, as SVG: bars, the mean as a line and its interval as a band.

    Args:
        values: finite, one or more, as tables print them.
        mean: of the figure, as results.json has it.
        column: of the figure.
    """
    width, height = _PLOT
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, _BINS, (low, high))
    floor, step = height - 24, width / _BINS

    def across(value: float) -> float:
        return width * (value - low) / (high - low)

    bars = "".join(
        f'<rect class="bar-of" x="{number * step + 1:.1f}" y="{floor - tall:.1f}" '
        f'width="{step - 2:.1f}" height="{tall:.1f}"/>'
        for number, count in enumerate(counts)
        if (tall := (floor - 8) * count / counts.max())
    )
    marks = ""
    if mean.mean is not None and np.isfinite(mean.mean):
        x = across(column.scale * mean.mean)
        marks = f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{floor}"/>'
        if mean.low is not None and mean.high is not None:
            left, right = (across(column.scale * bound) for bound in (mean.low, mean.high))
            marks = (
                f'<rect class="band" x="{left:.1f}" y="2" width="{max(right - left, 1):.1f}" '
                f'height="{floor - 2}"/>{marks}'
            )
    label = f"{len(values)} pictures from {low:.{column.digits}f} to {high:.{column.digits}f}"
    return (
        f'<svg class="spread" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'{marks}{bars}<line class="floor" x1="0" x2="{width}" y1="{floor}" y2="{floor}"/>'
        f'<text x="0" y="{height - 6}">{low:.{column.digits}f}</text>'
        f'<text x="{width}" y="{height - 6}" text-anchor="end">{high:.{column.digits}f}</text>'
        f'<text x="4" y="12">{counts.max()} pictures</text></svg>'
    )
