"""Cut-outs: pictures of single things on nothing, with what a person would call them.

A folder of cut-outs holds RGBA pictures and a table ``cutouts.tsv`` with the columns ``file`` and
``name``. A name is said as it stands ("dog", "cup of coffee"); one that begins with "some" is a
plural ("some grapes").
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from editar_cli.errors import UsageError
from editar_cli.synthesis._names import AIRBORNE, COMMON, LEFT_OUT, SAID

T = TypeVar("T")

TABLE = "cutouts.tsv"
COMMON_WEIGHT = 5.0
"""How much oftener a common thing is drawn than another."""

_LEAST_COVER = 0.5
"""Opacity under which a pixel does not count for a thing's outline."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """One thing.

    Args:
        noun: "dog", "cup of coffee", "grapes".
        picture: HWC uint8 RGBA, cropped to the thing.
        plural: "some grapes" and not "a grapes".
        airborne: has its place above the ground.
    """

    noun: str
    picture: npt.NDArray[np.uint8]
    plural: bool = False
    airborne: bool = False

    @property
    def weight(self) -> float:
        """How often it is drawn, over 1."""
        return COMMON_WEIGHT if self.noun in COMMON else 1.0


@dataclass(frozen=True)
class Cutouts:
    """What local edits are made with.

    A model can take away a thing that it never saw, but draw only what it knows; so things kept
    out of training may be `shown` for a judgement, while `drawn` ones are those of training.

    Args:
        shown: what stands in a source.
        drawn: what a sentence asks to be put there.
    """

    shown: Sequence[Cutout]
    drawn: Sequence[Cutout]
    _limits: tuple[list[float], list[float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.shown or len({cutout.noun for cutout in self.drawn}) < 2:
            raise UsageError(
                "local edits need at least one cut-out to show and two different things to draw"
            )
        limits = tuple(
            list(accumulate(cutout.weight for cutout in some)) for some in (self.shown, self.drawn)
        )
        object.__setattr__(self, "_limits", limits)

    def show(self, rng: np.random.Generator) -> Cutout:
        """One of `shown`, common ones oftener."""
        return _draw(self.shown, self._limits[0], rng)

    def draw(self, rng: np.random.Generator) -> Cutout:
        """One of `drawn`, common ones oftener."""
        return _draw(self.drawn, self._limits[1], rng)


def _draw(some: Sequence[T], limits: list[float], rng: np.random.Generator) -> T:
    return some[min(bisect_right(limits, rng.random() * limits[-1]), len(some) - 1)]


def read_cutouts(folder: Path) -> dict[str, Cutout]:
    """All usable cut-outs of a folder by file name, in name order.

    Raises:
        UsageError: no folder, no table in it, a table without the columns, or a picture that
            cannot be read.
    """
    table = folder / TABLE
    if not table.is_file():
        # The table may also lie beside the folder, as photos.tsv does.
        table = folder.with_name(TABLE)
    if not folder.is_dir() or not table.is_file():
        raise UsageError(f"{folder}: no folder of cut-outs with their table {TABLE}")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    if not rows or not {"file", "name"} <= set(rows[0]):
        raise UsageError(f"{table}: must have the columns file and name")
    names = {row["file"]: row["name"] for row in rows}
    return {
        file: cutout
        for file in sorted(names)
        if (cutout := _read(folder / file, names[file])) is not None
    }


def _read(path: Path, name: str) -> Cutout | None:
    from PIL import Image

    if name in LEFT_OUT:
        return None
    said = SAID.get(name, name)
    noun = said.removeprefix("some ")
    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGBA"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read as a cut-out: {error}") from error
    solid = picture[..., 3] >= 255 * _LEAST_COVER
    down, across = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not len(down):
        return None
    picture = picture[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    return Cutout(
        noun, np.ascontiguousarray(picture), plural=noun != said, airborne=noun in AIRBORNE
    )
