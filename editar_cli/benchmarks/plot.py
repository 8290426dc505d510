"""A scatter plot with intervals, as SVG and as a picture: two kinds of figure against each other.

The drawing is described once, by ``_draw``, and done by a canvas of either kind; nothing is needed
beyond Pillow. Lengths are in SVG's pixels, y downwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal, Protocol

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 640, 440
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 44, 54
"""Margins around the axes."""

SHARPNESS = 2
"""Pixels of the picture per pixel of the SVG."""

INK, FAINT = "#333333", "#dddddd"
# Okabe and Ito's colours, which the colour-blind can tell apart as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One place in the plot.

    Args:
        x, y: finite.
        label: written beside it.
        x_bounds, y_bounds: ends of its intervals, or ``None``.
    """

    x: float
    y: float
    label: str
    x_bounds: tuple[float, float] | None = None
    y_bounds: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """Spots of one colour.

    Args:
        name: stands in the legend where there are several series.
        spots: in the order of the line.
        joined: whether a line joins them.
    """

    name: str
    spots: Sequence[Spot]
    joined: bool = True


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What is drawn.

    Args:
        x_title, y_title: what the axes show.
        series: at least one spot in all.
    """

    x_title: str
    y_title: str
    series: Sequence[Series]


class _Canvas(Protocol):
    def line(self, ends: tuple[float, float, float, float], colour: str, width: float) -> None: ...

    def dot(self, x: float, y: float, radius: float, colour: str) -> None: ...

    def text(self, x: float, y: float, text: str, anchor: Anchor) -> None:
        """Its middle is at y; white around it parts it from lines."""


class _Svg:
    def __init__(self) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        ]

    def line(self, ends: tuple[float, float, float, float], colour: str, width: float) -> None:
        x1, y1, x2, y2 = (f"{end:.1f}" for end in ends)
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" '
            f'stroke-width="{width:g}"/>'
        )

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>')

    def text(self, x: float, y: float, text: str, anchor: Anchor) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}" '
            f'dominant-baseline="central" stroke="#ffffff" stroke-width="3" paint-order="stroke">'
            f"{escape(text)}</text>"
        )

    def finished(self) -> str:
        return "\n".join([*self.parts, "</svg>", ""])


class _Picture:
    def __init__(self) -> None:
        # Twice as fine as it will be: Pillow draws lines and circles without smooth edges.
        self.scale = 2 * SHARPNESS
        self.image = Image.new("RGB", (WIDTH * self.scale, HEIGHT * self.scale), "#ffffff")
        self.pen = ImageDraw.Draw(self.image)
        self.font = ImageFont.load_default(13 * self.scale)

    def line(self, ends: tuple[float, float, float, float], colour: str, width: float) -> None:
        scaled = [end * self.scale for end in ends]
        self.pen.line(scaled, fill=colour, width=round(width * self.scale))

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        box = [(x - radius), (y - radius), (x + radius), (y + radius)]
        self.pen.ellipse(
            [edge * self.scale for edge in box],
            fill=colour,
        )

    def text(self, x: float, y: float, text: str, anchor: Anchor) -> None:
        place = {"start": "lm", "middle": "mm", "end": "rm"}[anchor]
        where = (x * self.scale, y * self.scale)
        self.pen.text(
            where,
            text,
            fill=INK,
            font=self.font,
            anchor=place,
            stroke_width=round(1.5 * self.scale),
            stroke_fill="#ffffff",
        )

    def finished(self) -> Image.Image:
        size = (WIDTH * SHARPNESS, HEIGHT * SHARPNESS)
        return self.image.resize(size, Image.Resampling.LANCZOS)


def svg(plot: Plot) -> str:
    """The plot as an SVG file's text."""
    canvas = _Svg()
    _draw(plot, canvas)
    return canvas.finished()


def picture(plot: Plot) -> Image.Image:
    """The plot as an RGB picture, `SHARPNESS` times as large as the SVG."""
    canvas = _Picture()
    _draw(plot, canvas)
    return canvas.finished()


@dataclass(frozen=True)
class _Axis:
    """Values onto a stretch of pixels."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> "_Axis":
        low, high = min(values), max(values)
        # A single value has some room of its own.
        room = 0.08 * (high - low) or abs(high) / 10 or 1.0
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Four to ten round values."""
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = power * min((1, 2, 5, 10), key=lambda times: abs(times * power - rough))
        first = math.ceil(self.low / step)
        return [step * i for i in range(first, math.floor(self.high / step) + 1)]


def _draw(plot: Plot, canvas: _Canvas) -> None:
    spots = [spot for series in plot.series for spot in series.spots]
    x_values = [value for spot in spots for value in (spot.x, *(spot.x_bounds or ()))]
    y_values = [value for spot in spots for value in (spot.y, *(spot.y_bounds or ()))]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    across, up = _Axis.over(x_values, LEFT, right), _Axis.over(y_values, bottom, TOP)
    for value in across.ticks():
        canvas.line((across.at(value), TOP, across.at(value), bottom), FAINT, 1)
        canvas.text(across.at(value), bottom + 14, f"{value:.6g}", "middle")
    for value in up.ticks():
        canvas.line((LEFT, up.at(value), right, up.at(value)), FAINT, 1)
        canvas.text(LEFT - 8, up.at(value), f"{value:.6g}", "end")
    canvas.line((LEFT, bottom, right, bottom), INK, 1)
    canvas.line((LEFT, TOP, LEFT, bottom), INK, 1)
    canvas.text(right, HEIGHT - 16, plot.x_title, "end")
    canvas.text(12, 18, plot.y_title, "start")
    for number, series in enumerate(plot.series):
        colour = COLOURS[number % len(COLOURS)]
        places = [(across.at(spot.x), up.at(spot.y)) for spot in series.spots]
        for spot, (x, y) in zip(series.spots, places, strict=True):
            if spot.x_bounds is not None:
                low, high = map(across.at, spot.x_bounds)
                canvas.line((low, y, high, y), _pale(colour), 1.5)
            if spot.y_bounds is not None:
                low, high = map(up.at, spot.y_bounds)
                canvas.line((x, low, x, high), _pale(colour), 1.5)
        for before, after in pairwise(places) if series.joined else ():
            canvas.line((*before, *after), colour, 2)
        for spot, (x, y) in zip(series.spots, places, strict=True):
            canvas.dot(x, y, 4, colour)
            canvas.text(x + 8, y - 10, spot.label, "start")
        if len(plot.series) > 1:
            top = TOP + 14 + 18 * number
            canvas.dot(right - 12, top, 4, colour)
            canvas.text(right - 22, top, series.name, "end")


def _pale(colour: str) -> str:
    """Halfway to white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{(part + 255) // 2:02x}" for part in parts)
