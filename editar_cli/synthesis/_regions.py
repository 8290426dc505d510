"""Parts of a photograph found by hue, place and texture, and the same part in another colour.

Each finder is sure or says nothing: a sentence about a part that was found wrongly teaches more
harm than a photograph left out costs. Weights are HW float32 in [0, 1], 0 wherever a part is not.
"""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Mask, Photo
from editar_cli.synthesis._paint import COLOURS, lab_of
from editar_cli.synthesis._pixels import Array

HUES = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
"""The colours that a part may get or have: greys leave too little to see on some photographs."""

_SIDE = 96
"""Short side in pixels at which parts are found."""

_SEEN = 1 / 512
"""Weight under which a colour would change an 8-bit pixel by rounding at most: taken as 0."""

_LEAST_SKY, _MOST_SKY = 0.12, 0.85
_LEAST_GREEN = 0.10
_LEAST_WATER = 0.10
_NONE_OF_IT = 0.004
"""Shares of the picture."""

_RELIEF = 0.9
"""How much of the lightness's ups and downs stays under the colour."""


def sky(picture: Array) -> Array | None:
    """The weight of the sky, or `None` where there is none for certain or hardly any."""
    weight = px.sky_weight(picture)
    share = float(weight.mean())
    if not _LEAST_SKY < share < _MOST_SKY:
        return None
    top = weight[: max(1, len(weight) // 12)]
    # Fog and walls are half sky everywhere; a sky is nearly all or nothing, and all along the top.
    unsure = float(((weight > 0.2) & (weight < 0.8)).mean())
    if float((top > 0.5).mean()) < 0.75 or unsure > 0.5 * share:
        return None
    return _kept(weight)


def greenery(picture: Array) -> Array | None:
    """The weight of grass and leaves, or `None` where there are hardly any."""
    weight = _green(picture)
    return _kept(weight) if float(weight.mean()) > _LEAST_GREEN else None


def grows_low(weight: Array) -> bool:
    """Whether greenery lies on the ground as grass does: nearly all along the lower edge."""
    low = weight[-max(1, len(weight) // 5) :]
    return float(low.mean()) > 0.55 and float(low.max(axis=0).mean()) > 0.8


def is_bare(picture: Array) -> bool:
    """Whether it is certain that nothing green grows there."""
    return float((_tone(_small(picture), (98, 175), 6) > 0.3).mean()) < _NONE_OF_IT


def water(picture: Array) -> Array | None:
    """The weight of a sea or lake, or `None`.

    Blue or blue-green and below the horizon, in one piece that is wide, calm and dark enough to be
    no snow.
    """
    import cv2

    small = _small(picture)
    height, width = small.shape[:2]
    lab = px.to_lab(small)
    sky_part = px.resize(px.sky_weight(picture), height, width)
    blue = _tone(small, (175, 300), 7) * (1 - px.smoothstep(66, 80, lab[..., 0]))
    likely = (blue * (1 - sky_part) > 0.4).astype(np.uint8)
    likely[: int(0.3 * height)] = 0
    likely = np.asarray(cv2.morphologyEx(likely, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(likely)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    piece = labels == largest
    if piece.mean() < _LEAST_WATER or stats[largest, cv2.CC_STAT_WIDTH] < 0.6 * width:
        return None
    rows = np.flatnonzero(piece.mean(axis=1) > 0.25)
    fills = piece[rows].mean() if len(rows) else 0.0
    if fills < 0.5 or rows[-1] < 0.8 * height:
        return None
    grown = cv2.dilate(piece.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    near = px.resize(np.asarray(cv2.blur(grown, (5, 5)), np.float32), *picture.shape[:2])
    own = _tone(picture, (165, 310), 5) * (
        1 - px.smoothstep(72, 88, px.blur(px.to_lab(picture)[..., 0], 0.01))
    )
    weight = own * px.smoothstep(0.3, 0.8, near) * (1 - px.sky_weight(picture))
    return _kept(px.blur(weight, 0.004)) if float(weight.mean()) > 0.8 * _LEAST_WATER else None


def is_dry(picture: Array) -> bool:
    """Whether it is certain that there is no sea and no lake: nothing blue or grey lies low."""
    small = _small(picture)
    low = small[len(small) // 2 :]
    lab = px.to_lab(low)
    warm = _tone(low, (20, 140), 9)
    return float(warm.mean()) > 0.9 and float((lab[..., 2] < 2).mean()) < 0.02


def one_hue(picture: Array, name: str) -> Array | None:
    """The weight of all that has one of `HUES`, or `None` where that is too little or too much.

    Only strong colours count, and those that anyone would call by that name.
    """
    lab = px.to_lab(picture)
    angle, chroma = _hue_and_chroma(lab)
    goal = lab_of(COLOURS[name])
    middle = float(np.degrees(np.arctan2(goal[2], goal[1])))
    away = np.abs((angle - middle + 180) % 360 - 180).astype(np.float32)
    weight: Array = (1 - px.smoothstep(16, 27, away)) * px.smoothstep(18, 32, chroma)
    # Brown is a dark orange, and pink a light red: nobody would call them by the other's name.
    if name in ("orange", "yellow"):
        weight = weight * px.smoothstep(48, 60, lab[..., 0]) * px.smoothstep(34, 46, chroma)
    weight = px.blur(weight, 0.003)
    share = float(weight.mean())
    return _kept(weight) if 0.02 < share < 0.6 else None


def recoloured(picture: Array, weight: Array, colour: str) -> Photo:
    """The picture with a part in another colour, its light and shade kept, as HWC uint8.

    Pixels of weight 0 are the picture's own.
    """
    lab = px.to_lab(picture)
    total = float(weight.sum())
    mean = float((lab[..., 0] * weight).sum()) / max(total, 1e-6)
    goal = lab_of(COLOURS[colour])
    # A dark wood gets a dark colour: half of the way to the colour's own lightness.
    light = np.clip(0.5 * (goal[0] + mean) + _RELIEF * (lab[..., 0] - mean), 3, 97)
    # Towards white and black there is less room for colour.
    room = np.minimum(1, np.minimum(light / goal[0], (100 - light) / (100 - goal[0])) ** 0.8)
    tint = goal[None, None, 1:] * room[..., None]
    new = px.from_lab(np.concatenate([light[..., None], tint], axis=2))
    changed = px.mix(picture, new, weight)
    return px.to_photo(np.where((weight > 0)[..., None], changed, picture))


def other_hues(picture: Array, weight: Array) -> list[str]:
    """The colours that a part certainly does not have, in a fixed order."""
    lab = px.to_lab(picture)
    mean = (lab * weight[..., None]).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    angle = float(np.degrees(np.arctan2(mean[2], mean[1])))
    chroma = float(np.hypot(mean[1], mean[2]))
    found = []
    for name in HUES:
        goal = lab_of(COLOURS[name])
        away = abs((np.degrees(np.arctan2(goal[2], goal[1])) - angle + 180) % 360 - 180)
        if chroma < 12 or away > 38:
            found.append(name)
    return found


def mask_of(weight: Array) -> Mask:
    """Where a part is."""
    mask: Mask = weight > 0
    return mask


def _small(picture: Array) -> Array:
    scale = _SIDE / min(picture.shape[:2])
    height, width = (max(8, min(4 * _SIDE, round(n * scale))) for n in picture.shape[:2])
    return px.resize(picture, height, width)


def _kept(weight: Array) -> Array:
    kept: Array = np.where(weight > _SEEN, np.minimum(weight, 1), np.float32(0))
    return kept


def _hue_and_chroma(lab: Array) -> tuple[Array, Array]:
    """CIE Lab hue angle in degrees (0 to 360) and chroma, each HW."""
    angle = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    return angle, np.hypot(lab[..., 1], lab[..., 2])


def _tone(picture: Array, hues: tuple[float, float], least: float) -> Array:
    """How surely each pixel has a hue between two angles, and a chroma of `least` or more."""
    angle, chroma = _hue_and_chroma(px.to_lab(picture))
    first, last = hues
    inside = px.smoothstep(first - 8, first + 4, angle) * (
        1 - px.smoothstep(last - 4, last + 8, angle)
    )
    weight: Array = inside * px.smoothstep(0.7 * least, 1.3 * least, chroma)
    return weight


def _green(picture: Array) -> Array:
    light = px.to_lab(picture)[..., 0]
    weight = _tone(picture, (100, 165), 11) * px.smoothstep(5, 12, light)
    weight = weight * (1 - px.sky_weight(picture))
    return px.blur(weight, 0.004)
