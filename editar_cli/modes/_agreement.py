"""How well the map of an output agrees with the map that was given.

All functions take two HWC uint8 maps of one size and give figures by name, the first of which is
the one to go by. They are functions of the pixels only: no random draws.
"""

import numpy as np
from numpy.typing import NDArray

from editar_cli.modes._mode import Picture

EDGE = 127  # above it a pixel of a line map is an edge
REGIONS = 64  # largest regions of a map that are compared one by one; the rest counts as one


def edge_agreement(given: Picture, made: Picture) -> dict[str, float]:
    """F1 of edge pixels, [0, 1].

    ``f1_near`` forgives one pixel: precision is the share of made edge pixels with a given one in
    their 3x3 neighbourhood, recall the share of given edge pixels with a made one in theirs.
    ``f1`` forgives nothing. Two maps without edges agree (1), one without does not (0).
    """
    _same_size(given, made)
    one, other = _grey(given) > EDGE, _grey(made) > EDGE
    return {"f1_near": _f1(one, other, near=True), "f1": _f1(one, other, near=False)}


def soft_edge_agreement(given: Picture, made: Picture) -> dict[str, float]:
    """Soft edges, compared as greyscale pictures.

    ``correlation`` is Pearson's over all pixels, [-1, 1], of both maps blurred by a Gaussian of
    one pixel, so that a line half a pixel aside still counts; ``rmse`` is on 0..255, not blurred.
    """
    _same_size(given, made)
    import cv2

    one, other = _grey(given), _grey(made)
    blurred = [np.asarray(cv2.GaussianBlur(map_, (0, 0), 1.0), np.float32) for map_ in (one, other)]
    return {"correlation": _correlation(*blurred), "rmse": _rmse(one, other)}


def depth_agreement(given: Picture, made: Picture) -> dict[str, float]:
    """Depth is known up to scale and shift, so both maps are stretched to 0..255 by min and max.

    ``rmse`` is on that scale; ``correlation`` is Pearson's over all pixels, [-1, 1]. A constant map
    is stretched to zeros.
    """
    _same_size(given, made)
    one, other = _stretched(_grey(given)), _stretched(_grey(made))
    return {"rmse": _rmse(one, other), "correlation": _correlation(one, other)}


def region_agreement(given: Picture, made: Picture) -> dict[str, float]:
    """Regions, each the pixels of one colour; colours of the two maps need not match.

    ``miou`` is the mean over the given map's regions, weighted by area, of the intersection over
    union with the made region assigned to it: one to one, such that the mean is as large as it can
    be; a region that gets none counts as 0. ``boundary_f1`` is the F1 of pixels that touch another
    region to their right or below, forgiving one pixel as in ``edge_agreement``. Both [0, 1].
    """
    _same_size(given, made)
    one, other = _labels(given), _labels(made)
    count, other_count = int(one.max()) + 1, int(other.max()) + 1
    shared = np.bincount(
        (one * other_count + other).ravel(), minlength=count * other_count
    ).reshape(count, other_count)
    areas, other_areas = shared.sum(1), shared.sum(0)
    union = areas[:, None] + other_areas[None] - shared
    gain = areas[:, None] / areas.sum() * shared / union
    rows, columns = _assignment(gain)
    return {
        "miou": float(gain[rows, columns].sum()),
        "boundary_f1": _f1(_boundary(one), _boundary(other), near=True),
    }


def _same_size(given: Picture, made: Picture) -> None:
    assert given.shape == made.shape, f"maps of two sizes: {given.shape} and {made.shape}"


def _grey(map_: Picture) -> NDArray[np.float32]:
    """HWC uint8 -> (H, W) float32 mean of the channels, [0, 255]."""
    return np.asarray(map_.mean(2, dtype=np.float32))


def _f1(one: NDArray[np.bool_], other: NDArray[np.bool_], near: bool) -> float:
    """F1 of two (H, W) masks; ``near`` forgives one pixel."""
    if not one.any() or not other.any():
        return float(one.any() == other.any())
    precision = float((_grown(one) if near else one)[other].mean())
    recall = float((_grown(other) if near else other)[one].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) mask -> the pixels with one of it in their 3x3 neighbourhood."""
    import cv2

    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)), np.bool_)


def _rmse(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2, dtype=np.float64)))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Pearson's correlation; where one is constant 0, or 1 if they are equal."""
    if np.array_equal(one, other):
        return 1.0
    a, b = one - one.mean(dtype=np.float64), other - other.mean(dtype=np.float64)
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    # a blurred constant is constant up to rounding only
    if np.ptp(one) < 1e-3 or np.ptp(other) < 1e-3 or spread == 0:
        return 0.0
    return float(np.clip((a * b).sum() / spread, -1, 1))


def _stretched(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) -> the same with its minimum at 0 and its maximum at 255."""
    low, high = float(grey.min()), float(grey.max())
    return (grey - low) * np.float32(255 / (high - low) if high > low else 0)


def _labels(map_: Picture) -> NDArray[np.intp]:
    """HWC uint8 -> (H, W) region numbers from 0, the largest first, at most ``REGIONS`` + 1."""
    codes = map_.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    colours, numbers, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.empty(len(colours), np.intp)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(colours))
    return np.asarray(np.minimum(rank, REGIONS)[numbers].reshape(codes.shape), np.intp)


def _boundary(labels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(H, W) labels -> the pixels whose right or lower neighbour is of another region."""
    found = np.zeros(labels.shape, np.bool_)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def _assignment(gain: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(N, M) gains -> rows and columns of the one-to-one assignment with the largest sum.

    The Hungarian method with shortest augmenting paths: rows enter one after another, ``row_price``
    and ``column_price`` keep every reduced cost at or above zero.
    """
    flipped = gain.shape[0] > gain.shape[1]
    cost = -(gain.T if flipped else gain)
    rows, columns = cost.shape
    # Index 0 of columns is a dummy that holds the row which is entering.
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    owner = np.full(columns + 1, -1)
    for row in range(rows):
        owner[0], column = row, 0
        shortest, before = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.intp)
        done = np.zeros(columns + 1, np.bool_)
        while owner[column] >= 0:
            done[column] = True
            reduced = cost[owner[column]] - row_price[owner[column]] - column_price[1:]
            better = ~done[1:] & (reduced < shortest[1:])
            shortest[1:][better] = reduced[better]
            before[1:][better] = column
            column = int(np.where(done, np.inf, shortest)[1:].argmin()) + 1
            step = shortest[column]
            row_price[owner[done]] += step
            column_price[done] -= step
            shortest[~done] -= step
        while column:
            owner[column] = owner[before[column]]
            column = int(before[column])
    taken = np.flatnonzero(owner[1:] >= 0)
    pair = owner[1:][taken], taken
    return (pair[1], pair[0]) if flipped else pair
