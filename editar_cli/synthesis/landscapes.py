"""Layered outdoor pictures with exact depth: sky, ridges, ground, things that stand on it.

Rendered rooms (``scenes``) teach a depth network walls and furniture; photographs show skies,
hills and streets. These are put together from parts of photographs in layers whose depth is known
because each was placed at it. Nothing is lit or modelled: what is right is which part hides which,
how things shrink towards the horizon, and haze.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from editar_cli.synthesis._effect import Photo

Plane = NDArray[np.float32]

_MOST_RIDGES = 4
_MOST_THINGS = 6
# A picture taken close to one thing instead of a wide view.
_CLOSE_SHARE = 0.25
# Inverse depth of the far end of the ground, relative to its near end.
_FAR_GROUND = 0.02


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """``image`` (S, S, 3) uint8 RGB; ``inverse_depth`` (S, S) float32, 0 at infinity, 1 nearest."""

    image: Photo
    inverse_depth: Plane


def make_landscape(
    photos: Sequence[Photo],
    cutouts: Sequence[NDArray[np.uint8]],
    *,
    seed: int,
    size: int = 160,
) -> Landscape:
    """One picture; the same photographs, cut-outs and seed give the same.

    Args:
        photos: HWC uint8 RGB, at least one: skies, grounds, hillsides and walls are cut from them.
        cutouts: HWC uint8 RGBA things to stand about; may be empty.
        seed: of every draw.
        size: side in pixels, S.
    """
    rng = np.random.default_rng([seed, 7])
    horizon = rng.uniform(0.2, 0.7) * size
    image = _sky(photos, rng, size)
    depth = np.zeros((size, size), np.float32)
    haze = image[: max(1, int(horizon))].reshape(-1, 3).mean(0)
    rows = np.arange(size, dtype=np.float32)
    ground = np.clip((rows - horizon) / (size - horizon), 0, 1) * (1 - _FAR_GROUND) + _FAR_GROUND
    wide = rng.random() > _CLOSE_SHARE

    for near in sorted(rng.uniform(0.01, 0.35, rng.integers(_MOST_RIDGES + 1)) if wide else []):
        _ridge(image, depth, photos, haze, ground, float(near), rng)
    _ground(image, depth, photos, haze, ground, horizon, rng)
    if wide:
        count = int(rng.integers(_MOST_THINGS + 1))
        nearness = np.sort(np.exp(rng.uniform(np.log(0.04), np.log(0.9), count)))
    else:
        nearness = np.array([rng.uniform(0.8, 1.0)])
    for near in nearness:
        _thing(image, depth, photos, cutouts, haze, ground, float(near), rng, close=not wide)
    noisy = image + rng.normal(0, rng.uniform(0, 5), image.shape)
    return Landscape(
        image=np.clip(noisy + 0.5, 0, 255).astype(np.uint8), inverse_depth=depth / depth.max()
    )


def _cut(photos: Sequence[Photo], rng: np.random.Generator, top: float, bottom: float) -> Photo:
    """A random part of a random photograph, between two heights of it."""
    photo = photos[int(rng.integers(len(photos)))]
    height, width = photo.shape[:2]
    high, low = int(top * height), max(int(top * height) + 2, int(bottom * height))
    part = max(2, int(width * rng.uniform(0.3, 1)))
    left = int(rng.integers(width - part + 1))
    return np.ascontiguousarray(photo[high:low, left : left + part])


def _sized(picture: Photo, width: int, height: int) -> Plane:
    import cv2

    size = (max(1, width), max(1, height))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _sky(photos: Sequence[Photo], rng: np.random.Generator, size: int) -> Plane:
    import cv2

    if rng.random() < 0.6:
        # The top of most photographs taken outdoors is sky.
        return _sized(_cut(photos, rng, 0, rng.uniform(0.1, 0.35)), size, size)
    top, bottom = rng.uniform(40, 255, (2, 1, 1, 3))
    slope = np.linspace(0, 1, size)[:, None, None]
    clouds = cv2.resize(rng.normal(0, 1, (5, 5)).astype(np.float32), (size, size))
    sky = top + (bottom - top) * slope + clouds[..., None] * rng.uniform(0, 25)
    return np.asarray(sky, np.float32)


def _hazy(
    texture: Plane, haze: NDArray[np.floating], near: float | Plane, strength: float
) -> Plane:
    clear = np.exp(-strength * (1 - np.asarray(near, np.float32)))
    return np.asarray(texture * clear + haze * (1 - clear), np.float32)


def _ridge(
    image: Plane,
    depth: Plane,
    photos: Sequence[Photo],
    haze: NDArray[np.floating],
    ground: Plane,
    near: float,
    rng: np.random.Generator,
) -> None:
    """A hillside or a row of roofs at one distance, from its outline down to the ground."""
    import cv2

    size = len(ground)
    # What is farther than all ground stands at the horizon.
    foot = float(np.searchsorted(ground, max(near, _FAR_GROUND), side="right"))
    points = rng.normal(0, 1, (1, int(rng.integers(3, 24)))).astype(np.float32)
    kind = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
    outline = np.asarray(cv2.resize(points, (size, 1), interpolation=kind), np.float32)[0]
    height = size * rng.uniform(0.04, 0.3)
    top = foot - height * (0.6 + 0.4 * outline)
    rows = np.arange(size, dtype=np.float32)[:, None]
    inside = (rows >= top[None]) & (rows <= foot + 1)
    texture = _sized(_cut(photos, rng, 0.35, 0.95), size, size) * rng.uniform(0.4, 1.1)
    image[inside] = _hazy(texture, haze, near, rng.uniform(0, 2.0))[inside]
    depth[inside] = near


def _ground(
    image: Plane,
    depth: Plane,
    photos: Sequence[Photo],
    haze: NDArray[np.floating],
    ground: Plane,
    horizon: float,
    rng: np.random.Generator,
) -> None:
    """A plane to the horizon, its texture shrinking with distance."""
    import cv2

    size = len(ground)
    texture = _cut(photos, rng, 0.6, 1.0)
    height, width = texture.shape[:2]
    spread = size * rng.uniform(0.5, 3)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array(
        [[0, horizon], [size, horizon], [size + spread, size], [-spread, size]], np.float32
    )
    if rng.random() < 0.3:
        warped = _sized(texture, size, size)
    else:
        warped = np.asarray(
            cv2.warpPerspective(
                texture, cv2.getPerspectiveTransform(corners, seen), (size, size),
                flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT,
            ),
            np.float32,
        )  # fmt: skip
    near = np.repeat(ground[:, None], size, 1)
    below = np.repeat(np.arange(size)[:, None] > horizon, size, 1)
    uneven = cv2.resize(rng.normal(0, 1, (6, 6)).astype(np.float32), (size, size))
    near = near * (1 + rng.uniform(0, 0.08) * uneven)
    below &= near >= depth  # ridges stand in front of the ground behind them
    image[below] = _hazy(warped, haze, near[..., None], rng.uniform(0, 1.5))[below]
    depth[below] = near[below]


def _thing(
    image: Plane,
    depth: Plane,
    photos: Sequence[Photo],
    cutouts: Sequence[NDArray[np.uint8]],
    haze: NDArray[np.floating],
    ground: Plane,
    near: float,
    rng: np.random.Generator,
    *,
    close: bool,
) -> None:
    """A cut-out, or a wall with a photograph's texture, upright where the ground is as near."""
    size = len(ground)
    foot = int(np.searchsorted(ground, near))
    if cutouts and (close or rng.random() < 0.5):
        chosen = cutouts[int(rng.integers(len(cutouts)))]
        scale = size * rng.uniform(0.25, 1.0) * near / max(chosen.shape[:2])
        wide, high = (max(2, round(s * scale)) for s in (chosen.shape[1], chosen.shape[0]))
        sized = _sized(chosen, wide, high)
        picture, solid = sized[..., :3], sized[..., 3] > 127
    else:
        wide = max(2, round(size * rng.uniform(0.1, 0.6) * near))
        high = max(2, round(size * rng.uniform(0.3, 1.4) * near))
        picture = _sized(_cut(photos, rng, 0.3, 0.9), wide, high) * rng.uniform(0.5, 1.1)
        solid = np.ones((high, wide), np.bool_)
    left = int(rng.integers(-wide // 2, size - wide // 2))
    top = foot - high
    rows = slice(max(0, top), min(size, foot))
    columns = slice(max(0, left), min(size, left + wide))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    shown = solid[part] & (depth[rows, columns] <= near)
    image[rows, columns][shown] = _hazy(picture[part], haze, near, rng.uniform(0, 1.0))[shown]
    depth[rows, columns][shown] = near
