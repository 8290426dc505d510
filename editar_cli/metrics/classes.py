"""Mean intersection over union of classes, over one picture or many ("mean IU", arXiv 1411.4038).

Over many pictures, intersections and unions are summed before they are divided, as published
tables have it: a class counts as often as it covers pixels. Classes that neither map has are left
out of the mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Pixels of each class.

    Args:
        both: (..., C) in both maps.
        either: (..., C) in one of them or both.
    """

    both: NDArray[np.float64]
    either: NDArray[np.float64]


def count_classes(
    given: NDArray[np.uint8], made: NDArray[np.uint8], classes: int, ignore: int = 255
) -> ClassCounts:
    """Count one picture's pixels where ``given`` is not ``ignore``.

    Args:
        given, made: (H, W) uint8 of one size; what is no class in ``made`` is wrong everywhere.
        classes: how many there are, numbered from 0.
        ignore: what ``given`` has where nothing is known; so has it all beyond ``classes``.
    """
    assert given.shape == made.shape, f"maps of two sizes: {given.shape} and {made.shape}"
    known = (given < classes) & (given != ignore)
    one, other = given[known], made[known]
    both = np.bincount(one[one == other], minlength=classes)[:classes]
    first = np.bincount(one, minlength=classes)[:classes]
    second = np.bincount(other, minlength=classes)[:classes]
    return ClassCounts(
        both=both.astype(np.float64), either=(first + second - both).astype(np.float64)
    )


def mean_iou(both: NDArray[np.float64], either: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., C) counts -> (...) means over classes that occur, in [0, 1]; NaN where none does."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(either > 0, both / either, np.nan)
        occurring = (either > 0).sum(axis=-1)
        means: NDArray[np.float64] = np.nansum(shares, axis=-1) / occurring
    return np.where(occurring > 0, means, np.nan)
