"""From a row to what the model is trained on: pictures as the model's square, checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import ImageError
from editar_cli.geometry import Fit
from editar_cli.images import Source, read_image, square
from editar_cli.training.datasets._schema import BadRowError, RawPair

Picture = NDArray[np.uint8]

SAME_SHAPE = 0.02
"""Largest relative difference of aspect ratio between a source and its target: what rounding to
whole pixels makes of a picture of 50 px."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How pictures become squares.

    Args:
        size: side of the square in pixels.
        fit: how the frame becomes the square.
        maps: mode -> extractor, (S, S, 3) uint8 -> (S, S, 3) uint8, for sources that are drawn.
    """

    size: int
    fit: Fit
    maps: Mapping[str, Callable[[Picture], Picture]]

    def pictures(self, pair: RawPair, source_map: str) -> tuple[Picture, Picture]:
        """Source and target, (S, S, 3) uint8 each; with a ``source_map`` the source is drawn.

        Raises:
            BadRowError: a picture cannot be read, or the two have different shapes.
        """
        target = read(pair.target, "target")
        seen = square(target, self.size, self.fit)
        if source_map:
            return self.maps[source_map](seen), seen
        source = read(pair.source, "source")
        check_shapes(source.size, target.size)
        return square(source, self.size, self.fit), seen


def read(encoded: bytes, what: str) -> Source:
    """Decode a picture completely.

    Raises:
        BadRowError: it cannot be read.
    """
    try:
        return read_image(BytesIO(encoded), name=what)
    except ImageError as error:
        raise BadRowError("unreadable", str(error)) from error


def check_shapes(source: tuple[int, int], target: tuple[int, int]) -> None:
    """(width, height) of a source and its target: one may be larger, but their pixels must lie on
    each other.

    Raises:
        BadRowError: their aspect ratios differ.
    """
    ratio = (source[0] * target[1]) / (source[1] * target[0])
    if abs(np.log(ratio)) > SAME_SHAPE:
        raise BadRowError(
            "size",
            f"source of {source[0]} x {source[1]} px, target of {target[0]} x {target[1]}: not "
            "one picture and its edit",
        )
