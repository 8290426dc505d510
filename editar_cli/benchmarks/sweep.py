"""Runs of one benchmark over a grid of settings, in one table and one plot.

What a setting buys is seldom free: an editor that follows instructions further keeps less of the
picture. The plot shows the two against each other, point by point of the grid.

::

    DIR/guidance-1.5/   a run of the benchmark as it is without a sweep, one for each point
    DIR/sweep.json      axes, points, figures with their intervals
    DIR/sweep.md        the table
    DIR/sweep.svg, .png the plot, where both of its figures could be computed
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from editar_cli.benchmarks.compare import BenchRun, read_run
from editar_cli.benchmarks.pie_bench import COLUMNS
from editar_cli.benchmarks.plot import Plot, Series, Spot, picture, svg
from editar_cli.benchmarks.report import RESULTS
from editar_cli.benchmarks.statistics import Mean
from editar_cli.errors import UsageError
from editar_cli.images import write_image

PLOT = "sweep.svg"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One flag and the values it takes, as they were written."""

    flag: str
    values: tuple[str, ...]

    @property
    def ordered(self) -> bool:
        """Whether values between two of them make sense, so that a line may join them."""
        return self.flag != "seed" and all(_is_number(value) for value in self.values)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text) is not None


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """One run of a sweep: flag -> value, and the name of its folder."""

    values: Mapping[str, str]
    folder: str

    @property
    def title(self) -> str:
        """For people."""
        return ", ".join(f"{flag} {value}" for flag, value in self.values.items())


def parse_axes(words: Sequence[str], flags: Sequence[str]) -> list[Axis]:
    """``guidance=1,3`` and so on as axes.

    Args:
        words: what was given.
        flags: those that may be swept over.

    Raises:
        UsageError: a word is none, or names a flag or a value twice.
    """
    axes: list[Axis] = []
    for word in words:
        name, sign, text = word.partition("=")
        flag = name.strip().removeprefix("--").replace("_", "-")
        values = tuple(value.strip() for value in text.split(","))
        if not sign or not all(values):
            raise UsageError(f"--sweep {word}: must be NAME=VALUE,VALUE,...")
        if flag not in flags:
            raise UsageError(f"--sweep {word}: NAME must be one of {', '.join(flags)}")
        if any(axis.flag == flag for axis in axes):
            raise UsageError(f"--sweep {word}: {flag} is given twice")
        if len(set(values)) < len(values):
            raise UsageError(f"--sweep {word}: a value is given twice")
        axes.append(Axis(flag=flag, values=values))
    return axes


def grid(axes: Sequence[Axis]) -> list[GridPoint]:
    """Every combination of values, the last axis changing fastest."""
    points: list[GridPoint] = []
    for values in product(*(axis.values for axis in axes)):
        pairs = dict(zip((axis.flag for axis in axes), values, strict=True))
        # Of a path the last part; what no file system likes becomes a dash.
        words = [f"{flag}-{Path(value).name or value}" for flag, value in pairs.items()]
        name = re.sub(r"[^\w.+-]", "-", "_".join(words))
        same = sum(point.folder == name or point.folder.startswith(f"{name}~") for point in points)
        points.append(GridPoint(values=pairs, folder=f"{name}~{same + 1}" if same else name))
    return points


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A figure of a benchmark's rows as a sweep shows it.

    Args:
        name: in the rows.
        title: in tables.
        axis: what an axis of the plot says; the title where nothing is said.
        scale: it is shown times this.
        flipped: 1 less the figure is shown.
    """

    name: str
    title: str
    axis: str = ""
    scale: float = 1.0
    flipped: bool = False

    def of(self, run: BenchRun) -> Mean:
        mean = run.mean(self.name)
        if not self.flipped or mean.mean is None:
            return mean
        bounds = [None if bound is None else 1 - bound for bound in (mean.high, mean.low)]
        return Mean(
            mean=1 - mean.mean,
            low=bounds[0],
            high=bounds[1],
            count=mean.count,
            missing=mean.missing,
        )


@dataclass(frozen=True, kw_only=True)
class _TradeOff:
    """What is set against what: the first figure of each that some run has, and the others."""

    following: tuple[_Figure, ...]
    preservation: tuple[_Figure, ...]
    others: tuple[_Figure, ...]


_PIE = {
    column.name: _Figure(name=column.name, title=column.title, scale=column.scale)
    for column in COLUMNS
}
_PIE_PLOTTED = ("clip_similarity_target_image_edit_part", "psnr_unedit_part")

_TRADE_OFFS = {
    "mini": _TradeOff(
        following=(
            _Figure(
                name="way", title="way gone %", axis="% of the way to the true edit", scale=100
            ),
        ),
        preservation=(
            _Figure(
                name="changed",
                title="left alone %",
                axis="% of pixels left alone where nothing is asked",
                scale=100,
                flipped=True,
            ),
            _Figure(
                name="edges", title="edges kept %", axis="% of the source's edges kept", scale=100
            ),
        ),
        others=(
            _Figure(name="ratio", title="mean ratio"),
            _Figure(name="ratio_inside", title="ratio inside"),
            _Figure(name="psnr_outside", title="PSNR outside"),
        ),
    ),
    "pie-bench": _TradeOff(
        following=(_PIE["clip_similarity_target_image_edit_part"],),
        preservation=(_PIE["psnr_unedit_part"],),
        others=tuple(figure for name, figure in _PIE.items() if name not in _PIE_PLOTTED),
    ),
}


@dataclass(frozen=True, kw_only=True)
class SweptPoint:
    """What came of one point: its run's figures and its seconds."""

    point: GridPoint
    run: BenchRun
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """A whole sweep.

    Args:
        axes: what was changed.
        points: in the grid's order; at least one, all of one benchmark.
    """

    axes: Sequence[Axis]
    points: Sequence[SweptPoint]

    @property
    def _trade_off(self) -> _TradeOff:
        return _TRADE_OFFS[self.points[0].run.benchmark]

    @property
    def _plotted(self) -> tuple[_Figure, _Figure]:
        """Instruction following and preservation."""
        following, preservation = (
            next((figure for figure in figures if self._has(figure)), figures[0])
            for figures in (self._trade_off.following, self._trade_off.preservation)
        )
        return following, preservation

    @property
    def _shown(self) -> list[_Figure]:
        """Figures that some run has; the two of the plot always, and first."""
        every = self._trade_off
        others = (*every.following, *every.preservation, *every.others)
        plotted = self._plotted
        return [*plotted, *(f for f in others if f not in plotted and self._has(f))]

    def _has(self, figure: _Figure) -> bool:
        return any(figure.of(swept.run).mean is not None for swept in self.points)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headers and a row of text for each point; figures with their 95 % intervals."""
        shown = self._shown
        headers = (
            *(axis.flag for axis in self.axes),
            *(figure.title for figure in shown),
            "seconds",
        )
        rows = [
            (
                *(swept.point.values[axis.flag] for axis in self.axes),
                *(_cell(figure.of(swept.run), figure.scale) for figure in shown),
                f"{swept.seconds:.0f}",
            )
            for swept in self.points
        ]
        return headers, rows

    def markdown(self) -> str:
        """The table as Markdown."""
        headers, rows = self.table()
        lines = [
            "Means and their 95 % bootstrap intervals over pictures.",
            "",
            "| " + " | ".join(headers) + " |",
            "|--:" * len(headers) + "|",
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
        return "\n".join(lines) + "\n"

    def plot(self) -> Plot | None:
        """Preservation against instruction following; ``None`` where no point has both.

        A line joins the points of the first axis, if its values are numbers; there is one line for
        each combination of the others.
        """
        x, y = self._plotted
        first, *others = self.axes
        lines: dict[str, list[Spot]] = {}
        for swept in self.points:
            following, kept = x.of(swept.run), y.of(swept.run)
            values = swept.point.values
            name = ", ".join(f"{axis.flag} {values[axis.flag]}" for axis in others)
            if following.mean is None or kept.mean is None:
                continue
            if float("inf") in (following.mean, kept.mean):
                continue
            label = Path(values[first.flag]).name
            spot = Spot(
                x=x.scale * following.mean,
                y=y.scale * kept.mean,
                label=label if lines.get(name) else f"{first.flag} {label}",
                x_bounds=_bounds(following, x.scale),
                y_bounds=_bounds(kept, y.scale),
            )
            lines.setdefault(name, []).append(spot)
        if not lines:
            return None
        return Plot(
            x_title=f"instruction following: {x.axis or x.title}",
            y_title=f"preservation: {y.axis or y.title}",
            series=[
                Series(name=name, spots=spots, joined=first.ordered)
                for name, spots in lines.items()
            ],
        )

    def missing(self) -> list[str]:
        """Figures of the plot that no point has."""
        return [figure.title for figure in self._plotted if not self._has(figure)]

    def record(self) -> dict[str, object]:
        """All of it for JSON; figures by their names in the rows, not flipped and not scaled."""
        following, preservation = self._plotted
        return {
            "benchmark": self.points[0].run.benchmark,
            "sweep": {axis.flag: list(axis.values) for axis in self.axes},
            "following": following.name,
            "preservation": preservation.name,
            "points": [
                {
                    "values": dict(swept.point.values),
                    "folder": swept.point.folder,
                    "seconds": swept.seconds,
                    "figures": {
                        figure.name: {
                            name: "inf" if value == float("inf") else value
                            for name, value in asdict(swept.run.mean(figure.name)).items()
                        }
                        for figure in self._shown
                    },
                }
                for swept in self.points
            ],
        }


def read_point(folder: Path, point: GridPoint) -> SweptPoint:
    """What a run left in the folder of its point.

    Raises:
        UsageError: it left nothing that can be read.
    """
    run = read_run(folder)
    record = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    return SweptPoint(point=point, run=run, seconds=float(record["seconds"]))


def write_sweep(folder: Path, result: SweepResult) -> None:
    """Write table and plot; ``sweep.json`` comes last.

    Raises:
        ImageError: a file cannot be written.
    """
    plot = result.plot()
    if plot is not None:
        from io import BytesIO

        data = BytesIO()
        picture(plot).save(data, "PNG", optimize=True)
        write_image(folder / PLOT, svg(plot).encode())
        write_image((folder / PLOT).with_suffix(".png"), data.getvalue())
    write_image(folder / "sweep.md", result.markdown().encode())
    text = json.dumps(result.record(), indent=1, ensure_ascii=False, allow_nan=False)
    write_image(folder / "sweep.json", (text + "\n").encode())


def _bounds(mean: Mean, scale: float) -> tuple[float, float] | None:
    if mean.low is None or mean.high is None:
        return None
    return scale * mean.low, scale * mean.high


def _cell(mean: Mean, scale: float) -> str:
    if mean.mean is None:
        return "missing"
    text = f"{scale * mean.mean:.3g}"
    bounds = _bounds(mean, scale)
    return text if bounds is None else f"{text} [{bounds[0]:.3g}, {bounds[1]:.3g}]"
