"""From two small decoded pictures to a full-size edit that keeps the source's own detail.

The model edits a small square through a lossy tokenizer. What it tells about the full-size picture
is how colours change from place to place, which structure came or went, and how much fine detail
is left. So the edit is taken as a field of affine colour transforms out = A in + b, fitted between
the decoded source and the decoded edited picture (both went through the same tokenizer, so its own
losses cancel) and applied to the source at full size:

- The field lives in a bilateral grid (Chen, Paris, Durand 2007): two axes for place, one for
  brightness. Fitting affine transforms there is bilateral guided upsampling (Chen, Adams, Wadhwa,
  Hasinoff 2016). Sampled at the brightness of the full-size source, it turns where the source has
  an edge, so that no halo follows a skyline.
- It is fitted from coarse to fine, each level drawn towards the one before: one brightness line and
  one colour gain for the whole picture, one transform, one per brightness, one per neighbourhood.
  Sampled codes err by whole cells; a fit over several cells averages that out.
- What the field cannot explain is added back as far as it exceeds what the tokenizer and sampling
  explain (a Wiener gain per neighbourhood and frequency band).
- Detail finer than the model's pixels is scaled by A, and further by how the detail left in the
  decoded edited picture compares with what A predicts: blur takes it away.
- Where only some codes were free, they alone tell of the edit: what lies beyond has no part in any
  fit or mean, and what is found is continued over the border instead of fading towards it.

Pictures in this file are (H, W, 3) float32 in [0, 1] unless said otherwise.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating[Any]]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Orthonormal rows: grey, blue to orange, magenta to green. Orthonormal keeps noise alike on all
# axes; the second is the one along which daylight varies.
_OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], np.float32) / np.sqrt(
    np.array([[3.0], [2.0], [6.0]], np.float32)
)

_REFERENCE_SIDE = 128
"""Lengths in pixels below are those of a square of this side, and scale with the square."""
_NODES = 16
_BINS = 8
_LEVELS = ((4.0, 1.0), (1.5, 0.7))
"""Standard deviations of the two local levels, in nodes of place and in bins of brightness."""
_GAIN_VARIANCE = 0.01
"""Variance below which a neighbourhood's own gain counts less than the coarser level's."""
_PRIOR_PIXELS = 64.0
"""How many pixels, about one code's, the coarser level is worth."""
_CROSS = 3.0
"""How much more a transform is kept from mixing grey and colour than from scaling them."""
_FULL_SIZE_SIDE = 1024
"""The field is sampled at no more than about this side, and interpolated from there."""
_STRIP_VALUES = 1 << 20


def kept_weights(
    source_codes: NDArray[np.int64],
    edited_codes: NDArray[np.int64],
    *,
    size: int,
    free: NDArray[np.bool_] | None = None,
) -> Floats:
    """Where the source stays untouched.

    A cell is kept where it belongs to a 3 x 3 block of equal codes: a lone equal code inside an
    edited region is chance, and the source would show through it as a patch.

    Args:
        source_codes: (h, w) codes of the source.
        edited_codes: (h, w) codes of the edited picture.
        size: side of the square the codes stand for, in pixels.
        free: (h, w), cells that could have been edited; the others say nothing, and are not kept.

    Returns:
        (size, size) in [0, 1]: 0 in edited cells, 1 in kept ones but for half a cell of transition
        along their common borders.
    """
    equal = source_codes == edited_codes
    if free is not None:
        equal &= free
    # Beyond the frame counts as equal, so that regions at the frame are judged by what is seen.
    core = np.asarray(_windows(equal, outside=True).all(axis=(2, 3)))
    kept = (_windows(core, outside=False).any(axis=(2, 3)) & equal).astype(np.float32)
    down, across = (_hats(size, cells) for cells in kept.shape)
    # Between the centres of two cells the line runs from 0 to 1 and crosses the border at 1/2.
    weights: Floats = np.clip(2 * (down @ kept @ across.T) - 1, 0, 1)
    return weights


def _windows(cells: NDArray[np.bool_], *, outside: bool) -> NDArray[np.bool_]:
    padded = np.pad(cells, 1, constant_values=outside)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3))


def transfer_edit(
    source: NDArray[np.uint8],
    decoded_source: Floats,
    decoded_edited: Floats,
    *,
    kept: Floats | None = None,
    free: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """The source, edited as the model edited its small picture.

    Args:
        source: (H, W, 3) uint8 in [0, 255].
        decoded_source: (h, w, 3): the same frame through the tokenizer.
        decoded_edited: (h, w, 3): the edited codes, decoded.
        kept: (h, w) in [0, 1]: 1 where the source stays as it is, exactly.
        free: (h, w): where the model could edit at all; beyond, the result goes on as if it had
            edited there as well.

    Returns:
        (H, W, 3) uint8.
    """
    assert decoded_source.shape == decoded_edited.shape
    if free is not None and not free.any():
        return source.copy()
    told = None if free is None or free.all() else free.astype(np.float32)
    if np.array_equal(decoded_source, decoded_edited) or (kept is not None and kept.min() >= 1):
        return source.copy()
    height, width = decoded_source.shape[:2]
    unit = max(height, width) / _REFERENCE_SIDE

    factor = max(1, -(-max(source.shape[:2]) // _FULL_SIZE_SIDE))
    guide = np.asarray(Image.fromarray(source).reduce(factor), np.float32) / 255
    # What the square shows of the source before the tokenizer.
    seen = np.clip(_resize(guide, (height, width), Image.Resampling.LANCZOS), 0, 1)

    before, after = decoded_source @ _OPPONENT.T, decoded_edited @ _OPPONENT.T
    brightness = seen @ _LUMA
    grid, transforms = _robust_fit(before, after, brightness, unit, told)
    predicted = _apply(transforms, before)
    if _turned_grey(before, after, told):
        grid[..., 1:] = 0
        predicted[..., 1:] = 0
        after = after * np.array([1, 0, 0], np.float32)
    lost = (decoded_source - seen) @ _OPPONENT.T
    structure: Floats = _structure(after - predicted, lost, transforms, unit, told) @ _OPPONENT
    detail: Floats = _detail_gain(before, after, predicted, transforms, unit, told)[..., None]
    edited_detail: Floats = after[..., 0] - _blur(after[..., 0], 4 * unit, told)
    smooth = _as_smooth_as(seen, edited_detail, unit, told)
    if told is not None:
        structure, detail = _continued(structure, unit, told), _continued(detail, unit, told)

    planes: list[Floats] = [structure, detail, smooth]
    if kept is not None:
        planes.append(kept[..., None])
    at_guide = _resize(np.concatenate(planes, axis=2), guide.shape[:2], Image.Resampling.BICUBIC)
    field = _sample(_to_rgb(grid), guide @ _LUMA)
    _add_detail_and_structure(field, at_guide)
    return _apply_at_full_size(source, field, factor)


# ---- fitting the field


def _robust_fit(
    before: Floats, after: Floats, brightness: Floats, unit: float, told: Floats | None
) -> tuple[Floats, Floats]:
    """The grid (Gy, Gx, bins, 4, 3), and its transforms (h, w, 4, 3) at the fitted pixels.

    Fitted twice, the second time with less weight for neighbourhoods that the first fit explains
    badly: codes that went astray, or structure that is new.
    """
    weight = np.ones_like(brightness) if told is None else told
    grid = _fit(before, after, brightness, weight)
    transforms = _sample(grid, brightness)
    error = np.sqrt(_energy(after - _apply(transforms, before), 3 * unit, told))
    usual = 1.5 * float(np.median(error[weight > 0])) + 1e-4
    grid = _fit(before, after, brightness, weight / (1 + (error / usual) ** 2))
    return grid, _sample(grid, brightness)


def _fit(before: Floats, after: Floats, brightness: Floats, weight: Floats) -> Floats:
    """Affine transforms in opponent colours from ``before`` to ``after``: (Gy, Gx, bins, 4, 3)."""
    height, width = brightness.shape
    nodes = [max(1, min(_NODES, side // 4)) for side in (height, width)]
    ones = np.ones((height, width, 1), np.float32)
    inputs = np.concatenate([before, ones], axis=2)
    targets = np.concatenate([inputs, after], axis=2)
    # Per pixel the products that normal equations sum: (4, 4) of inputs, (4, 3) with targets.
    products = inputs[..., :, None] * targets[..., None, :] * weight[..., None, None]
    products = products.reshape(height, width, 28)
    down, across = (_hats(side, n) for side, n in zip((height, width), nodes, strict=True))
    shares = _bin_shares(brightness)
    sums = np.stack(
        [_separable(down.T, across.T, products * shares[b][..., None]) for b in range(_BINS)],
        axis=2,
    ).astype(np.float64)

    whole = sums.sum(axis=(0, 1, 2))
    prior = _solve(whole, _global_line(whole), gain_variance=1e-3)
    by_brightness = np.tensordot(_spread(_BINS, 1.0), sums.sum(axis=(0, 1)), (1, 0))
    transforms = _solve(by_brightness, prior)
    for place, bins in _LEVELS:
        local = _separable(_spread(nodes[0], place), _spread(nodes[1], place), sums)
        local = np.einsum("bc,yxcp->yxbp", _spread(_BINS, bins), local)
        transforms = _solve(local, transforms)
    return transforms.astype(np.float32)


def _global_line(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """One line for grey and one gain for both colour axes, (4, 3).

    One gain for both: tokenizers lose colour first along the axis that photographs use least, and
    what is not seen there is what happened on the other.
    """
    squares, targets = _split(sums)
    count = squares[3, 3]
    grey, colour = np.array([0, 3]), np.array([1, 2])
    of_grey = squares[np.ix_(grey, grey)] + np.diag([1e-5 * count, 0])
    line = np.linalg.solve(of_grey, targets[grey, 0] + [1e-5 * count, 0])
    # Of the colours only what brightness does not explain can tell their gain.
    shared = squares[np.ix_(grey, colour)]
    explained = np.linalg.solve(of_grey, shared)
    own = squares[np.ix_(colour, colour)] - shared.T @ explained
    common = targets[np.ix_(colour, colour)] - explained.T @ targets[np.ix_(grey, colour)]
    gain = (np.trace(common) + 1e-5 * count) / (np.trace(own) + 1e-5 * count)
    transform = np.zeros((4, 3))
    transform[grey, 0] = line
    transform[1, 1] = transform[2, 2] = gain
    rest = targets[np.ix_(grey, colour)] - gain * shared
    transform[np.ix_(grey, colour)] = np.linalg.solve(of_grey, rest)
    return transform


def _solve(
    sums: NDArray[np.float64],
    prior: NDArray[np.float64],
    *,
    gain_variance: float = _GAIN_VARIANCE,
) -> NDArray[np.float64]:
    """Ridge regressions drawn to ``prior``: sums (..., 28), prior (..., 4, 3) -> (..., 4, 3)."""
    squares, targets = _split(sums)
    towards_gain = gain_variance * (squares[..., 3, 3] + _PRIOR_PIXELS)
    strength = np.full((*towards_gain.shape, 4, 3), 0.1 * _PRIOR_PIXELS)
    strength[..., :3, :] = _CROSS * towards_gain[..., None, None]
    for row, column in ((0, 0), (1, 1), (2, 2), (1, 2), (2, 1)):
        strength[..., row, column] = towards_gain
    # One system per output channel, because the strengths differ.
    ridge = np.swapaxes(strength, -1, -2)[..., None] * np.eye(4)
    right = np.swapaxes(targets + strength * prior, -1, -2)[..., None]
    solved = np.linalg.solve(squares[..., None, :, :] + ridge, right)[..., 0]
    return np.swapaxes(solved, -1, -2)


def _split(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(..., 28) -> sums of squares (..., 4, 4) and of products with the targets (..., 4, 3)."""
    both = sums.reshape(*sums.shape[:-1], 4, 7)
    return both[..., :4], both[..., 4:]


def _turned_grey(before: Floats, after: Floats, told: Floats | None) -> bool:
    """Whether the edit took all colour: what little is left is the tokenizer's."""
    had, has = (math.sqrt(_mean((p[..., 1:] ** 2).sum(-1), told)) for p in (before, after))
    return has < 0.03 and has < 0.5 * had


# ---- what the field does not say


def _structure(
    residual: Floats, lost: Floats, transforms: Floats, unit: float, told: Floats | None
) -> Floats:
    """The part of ``residual`` (h, w, 3) that is more than noise, in two bands.

    Args:
        residual: decoded edited picture less what the field predicts.
        lost: what the tokenizer changed in the source: how far its pixels can be trusted here.
        transforms: (h, w, 4, 3).
        unit: pixels per reference pixel.
        told: (h, w), weight of each pixel.
    """
    gain = (transforms[..., :3, :] ** 2).sum(axis=(2, 3)) / 3
    coarse, coarse_lost = _blur(residual, 6 * unit, told), _blur(lost, 6 * unit)
    fine, fine_lost = residual - coarse, lost - coarse_lost
    bands = ((coarse, coarse_lost, 8.0, 8.0, 0.25), (fine, fine_lost, 4.0, 6.0, 1.0))
    kept = np.zeros_like(residual)
    for band, band_lost, reach, reach_lost, share in bands:
        noise = share * (1 + gain) * _energy(band_lost, reach_lost * unit) + 0.03**2
        energy = np.maximum(_energy(band, reach * unit, told), 1e-9)
        kept += band * np.maximum(0, 1 - noise / energy)[..., None]
    return kept


def _detail_gain(
    before: Floats,
    after: Floats,
    predicted: Floats,
    transforms: Floats,
    unit: float,
    told: Floats | None,
) -> Floats:
    """(h, w) from 0 up: how much of the fine detail the field predicts is to be seen.

    The decoded edited picture's contrast between neighbours over the predicted one decides. A
    tokenizer blurs what it encodes, so that a blurred source differs from a sharp one by a fifth
    only, no more than many looks do: if the change is mostly not one of colour, a small loss
    already counts as blur, and otherwise only a large one. More contrast than predicted is new
    texture, such as snow on stones; the source's own detail stands for it, up to its contrast
    there.
    """
    found, expected = (
        (p[..., :1] - _blur(p[..., :1], 2 * unit, told)).astype(np.float32)
        for p in (after, predicted)
    )
    # Where there is no detail, nothing says that it went.
    near_found, near_expected = (_energy(p, 8 * unit, told) + 2e-5 for p in (found, expected))
    more = np.sqrt(near_found / near_expected)
    # Detail is rarely lost in spots: a wide look, half of it at the whole picture.
    wide_found, wide_expected = (
        _energy(p, 16 * unit, told) + _mean((p**2)[..., 0], told) + 2e-5 for p in (found, expected)
    )
    less = np.sqrt(wide_found / wide_expected)
    explained, unexplained = (
        _mean((change**2).sum(axis=2), told) for change in (predicted - before, after - predicted)
    )
    share = unexplained / (explained + unexplained)
    other = float(np.clip((share - 0.3) / 0.4, 0, 1))
    none, whole = 0.25 + 0.61 * other, 0.75 + 0.2 * other
    gain = np.clip((less - none) / (whole - none), 0, 1)
    most = 1 / np.clip(np.abs(transforms[..., 0, 0]), 0.4, 1)
    return gain * (1 + np.clip(more - 1.2, 0, most - 1))


def _as_smooth_as(picture: Floats, detail: Floats, unit: float, told: Floats | None) -> Floats:
    """``picture`` (h, w, 3) blurred until its grey has no more contrast than ``detail`` (h, w)."""
    target = _mean(detail**2, told)
    for deviation in (0.7, 1.0, 1.4, 2.0, 2.8, 4.0):
        blurred = _blur(picture, deviation * unit)
        grey = blurred @ _OPPONENT[0]
        if _mean((grey - _blur(grey, 4 * unit)) ** 2, told) <= target:
            break
    return blurred


def _continued(plane: Floats, unit: float, told: Floats) -> Floats:
    """(h, w, C), with what lies near its pixels that tell of the edit in place of all others."""
    near = _blur(plane, 1.5 * unit, told)
    return np.where(told[..., None] > 0, plane, near)


def _add_detail_and_structure(field: Floats, planes: Floats) -> None:
    """Fold into ``field`` (mh, mw, 4, 3) in RGB, in place, what is not a matter of colour.

    A (g s + (1 - g) l) + b + r is again affine in the full-size source s: l the smoothed
    source, g the detail gain and r the structure. Kept pixels get the identity.

    Args:
        field: transforms.
        planes: (mh, mw, 7 or 8): r, g, l and where given the weight of what is kept.
    """
    structure, gain, seen = planes[..., :3], np.maximum(planes[..., 3:4], 0), planes[..., 4:7]
    field[..., 3, :] += structure + np.einsum("yxi,yxio->yxo", (1 - gain) * seen, field[..., :3, :])
    field[..., :3, :] *= gain[..., None]
    if planes.shape[2] == 8:
        kept = np.clip(planes[..., 7], 0, 1)[..., None, None]
        field *= 1 - kept
        field[..., :3, :] += kept * np.eye(3, dtype=np.float32)


# ---- sampling and applying


def _to_rgb(grid: Floats) -> Floats:
    """Transforms (..., 4, 3) between opponent colours -> between RGB colours."""
    gains = _OPPONENT.T @ grid[..., :3, :]
    return np.concatenate([gains, grid[..., 3:, :]], axis=-2) @ _OPPONENT


def _sample(grid: Floats, brightness: Floats) -> Floats:
    """Transforms of a grid (Gy, Gx, bins, 4, 3) at ``brightness`` (h, w): (h, w, 4, 3).

    Cubic B-splines over place, so that no node shows, and lines over brightness.
    """
    (height, width), (rows, columns) = brightness.shape, grid.shape[:2]
    down, across = _splines(height, rows), _splines(width, columns)
    wide = np.tensordot(across, grid, (1, 1)).transpose(1, 2, 0, 3, 4).reshape(rows, _BINS, -1)
    sampled = np.zeros((height, width, 12), np.float32)
    strip = max(1, _STRIP_VALUES // (12 * width))
    for start in range(0, height, strip):
        some = slice(start, start + strip)
        shares = _bin_shares(brightness[some])
        for b in range(_BINS):
            planes = (down[some] @ wide[:, b]).reshape(-1, width, 12)
            planes *= shares[b][..., None]
            sampled[some] += planes
    return sampled.reshape(height, width, 4, 3)


def _apply(transforms: Floats, picture: Floats) -> Floats:
    linear = np.einsum("yxi,yxio->yxo", picture, transforms[..., :3, :])
    applied: Floats = linear + transforms[..., 3, :]
    return applied


def _apply_at_full_size(source: NDArray[np.uint8], field: Floats, factor: int) -> NDArray[np.uint8]:
    """Interpolate ``field`` (mh, mw, 4, 3) to the source and apply it, a strip at a time."""
    height, width = source.shape[:2]
    field[..., 3, :] *= 255
    planar = np.ascontiguousarray(field.reshape(*field.shape[:2], 12).transpose(0, 2, 1))
    first, share = _neighbours(np.arange(width), factor, planar.shape[2])
    second = np.minimum(first + 1, planar.shape[2] - 1)
    result = np.empty_like(source)
    strip = max(1, _STRIP_VALUES // (12 * width))
    for start in range(0, height, strip):
        some = slice(start, min(start + strip, height))
        above, fraction = _neighbours(np.arange(some.start, some.stop), factor, planar.shape[0])
        rows = planar[above[0] : above[-1] + 2]
        wide = rows if factor == 1 else rows[..., first]
        if factor > 1:
            wide += share * (rows[..., second] - wide)
        lines = np.arange(len(rows))
        mix = np.maximum(0, 1 - np.abs((above - above[0] + fraction)[:, None] - lines))
        mixed = (mix.astype(np.float32) @ wide.reshape(len(rows), -1)).reshape(-1, 12, width)
        for channel in range(3):
            out = mixed[:, 9 + channel]
            for i in range(3):
                out += mixed[:, 3 * i + channel] * source[some, :, i]
            result[some, :, channel] = np.clip(np.rint(out, out=out), 0, 255, out=out)
    return result


def _neighbours(
    positions: NDArray[np.int64], factor: int, count: int
) -> tuple[NDArray[np.int64], Floats]:
    """Which of ``count`` samples, one per ``factor`` pixels, lies before, and how far after it."""
    where = np.clip((positions + 0.5) / factor - 0.5, 0, count - 1)
    first = where.astype(np.int64)
    return first, (where - first).astype(np.float32)


def _resize(picture: Floats, size: tuple[int, int], filter: Image.Resampling) -> Floats:
    """(h, w, C) -> (*size, C)."""
    planes = [
        Image.fromarray(np.ascontiguousarray(picture[..., channel])).resize(size[::-1], filter)
        for channel in range(picture.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def _bin_shares(brightness: Floats) -> Floats:
    """(bins, h, w): how much each bin counts for each pixel; they sum to 1."""
    where = np.clip(brightness, 0, 1) * (_BINS - 1)
    bins = np.arange(_BINS, dtype=np.float32)[:, None, None]
    shares: Floats = np.maximum(0, 1 - np.abs(where - bins))
    return shares


def _positions(pixels: int, nodes: int) -> NDArray[np.float64]:
    """Centres of pixels in units of nodes, node i being the centre of its share of the side."""
    positions: NDArray[np.float64] = (np.arange(pixels) + 0.5) / pixels * nodes - 0.5
    return positions


def _hats(pixels: int, nodes: int) -> Floats:
    """(pixels, nodes) weights of linear interpolation."""
    where = np.clip(_positions(pixels, nodes), 0, nodes - 1)
    weights: Floats = np.maximum(0, 1 - np.abs(where[:, None] - np.arange(nodes)))
    return weights.astype(np.float32)


def _splines(pixels: int, nodes: int) -> Floats:
    """(pixels, nodes) weights of the cubic B-spline; they sum to 1 at the border too."""
    apart = np.abs(_positions(pixels, nodes)[:, None] - np.arange(nodes))
    near, far = 2 / 3 - apart**2 + apart**3 / 2, np.maximum(0, 2 - apart) ** 3 / 6
    weights = np.where(apart < 1, near, far).astype(np.float32)
    total: Floats = weights.sum(axis=1, keepdims=True)
    return weights / total


def _spread(count: int, deviation: float) -> Floats:
    """(count, count) Gaussian weights that are not normalised: they sum evidence."""
    places = np.arange(count)
    apart = (places[:, None] - places) / deviation
    return np.exp(-0.5 * apart**2).astype(np.float32)


def _separable(down: Floats, across: Floats, values: Floats) -> Floats:
    """Two matrices (n, h) and (m, w) along the first two axes of (h, w, ...): (n, m, ...)."""
    turned = np.tensordot(across, np.tensordot(down, values, (1, 0)), (1, 1))
    result: Floats = np.moveaxis(turned, 0, 1)
    return result


def _blur(values: Floats, deviation: float, told: Floats | None = None) -> Floats:
    """Gaussian over the first two axes, renormalised at the border.

    Args:
        values: (h, w, ...).
        deviation: in pixels.
        told: (h, w), weight of each pixel.
    """
    down, across = (_spread(side, deviation) for side in values.shape[:2])
    down, across = (line / line.sum(axis=1, keepdims=True) for line in (down, across))
    if told is None:
        return _separable(down, across, values)
    weight = told.reshape(*told.shape, *[1] * (values.ndim - 2))
    share = np.maximum(_separable(down, across, weight), 1e-12)
    return _separable(down, across, values * weight) / share


def _energy(values: Floats, deviation: float, told: Floats | None = None) -> Floats:
    """(h, w): the local mean of the squared length of (h, w, C)."""
    return _blur((values**2).sum(axis=2), deviation, told)


def _mean(values: Floats, told: Floats | None) -> float:
    """Of (h, w), with the weight of each pixel."""
    return float(np.average(values, weights=told))
