"""The colour that most of a thing has, and the same thing in another colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._pixels import Array
from editar_cli.synthesis.cutouts import Cutout

COLOURS = {
    "red": (205, 30, 35),
    "orange": (245, 130, 25),
    "yellow": (245, 208, 40),
    "green": (45, 150, 60),
    "blue": (35, 95, 215),
    "purple": (125, 55, 185),
    "pink": (242, 125, 178),
    "brown": (120, 72, 40),
    "white": (240, 240, 238),
    "black": (40, 40, 44),
}
"""What a thing may be painted in, sRGB."""

_ALSO_SEEN = {"grey": (150, 150, 156), "": (226, 40, 88), " ": (212, 160, 120)}
"""What a thing may be besides; "" and " " lie between two names that people would disagree on."""

_CHROMATIC_SHARE = 0.43
_GREY_SHARE = 0.55
"""Share of a thing that must be of one hue, or grey, for it to have a colour of its own."""

_NAMED_SHARE = 0.6
_NAMED_DISTANCE = 32.0
_NAMED_LEAD = 1.6
"""Anyone would call a thing by a colour that has this share of it at least, from which it is no
further (delta E), and from which any other is further by this factor."""

_OTHER_DISTANCE = 45.0
"""Delta E from which a colour is certainly another one."""

_RELIEF = 0.85
"""How much of the lightness's ups and downs stays under the paint."""


def lab_of(colour: tuple[int, int, int]) -> Array:
    """CIE Lab of an sRGB colour, 0 to 255."""
    lab: Array = px.to_lab(np.array([[colour]], np.float32) / 255)[0, 0]
    return lab


def main_area(cutout: Cutout) -> tuple[Array, Array, float] | None:
    """Where a thing has its main colour (HW weight), that colour (Lab), and its share of the thing.

    `None` where no colour prevails.
    """
    lab = px.to_lab(px.to_unit(cutout.picture[..., :3]))
    cover = cutout.picture[..., 3].astype(np.float32) / 255
    total = float(cover.sum())
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    bins = ((hue + 180) / 10).astype(np.int64) % 36
    pull = cover * np.clip(chroma, 0, 60) * (chroma > 14)
    counts = np.bincount(bins.ravel(), pull.ravel(), minlength=36)
    near = sum(np.roll(counts, k) for k in range(-2, 3))
    peak = int(np.argmax(near)) * 10 - 175
    away = np.abs((hue - peak + 180) % 360 - 180).astype(np.float32)
    area: Array = (1 - px.smoothstep(32, 50, away)) * px.smoothstep(10, 22, chroma)
    share = float((area * cover).sum()) / total
    if share < _CHROMATIC_SHARE:
        area = 1 - px.smoothstep(9, 18, chroma)
        share = float((area * cover).sum()) / total
        if share < _GREY_SHARE:
            return None
    weight = area * cover
    mean = (lab * weight[..., None]).sum(axis=(0, 1)) / weight.sum()
    return area, mean, share


def colour_name(cutout: Cutout) -> str | None:
    """What anyone would call the thing's colour, or `None`."""
    found = main_area(cutout)
    if found is None or found[2] < _NAMED_SHARE:
        return None
    names = {**COLOURS, **_ALSO_SEEN}
    (near, name), (second, _) = sorted((_distance(found[1], names[n]), n) for n in names)[:2]
    return name.strip() or None if near < _NAMED_DISTANCE and second > _NAMED_LEAD * near else None


def other_colours(cutout: Cutout) -> list[str]:
    """The colours that the thing certainly does not have, in a fixed order; none without paint."""
    found = main_area(cutout)
    if found is None:
        return []
    return [name for name in COLOURS if _distance(found[1], COLOURS[name]) > _OTHER_DISTANCE]


def _distance(lab: Array, colour: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(lab - lab_of(colour)))


def painted(cutout: Cutout, colour: str) -> Cutout:
    """The thing with its main area in another colour, light and shade kept.

    A thing without a main colour is painted all over.
    """
    found = main_area(cutout)
    lab = px.to_lab(px.to_unit(cutout.picture[..., :3]))
    if found is None:
        area = np.ones(lab.shape[:2], np.float32)
        mean = lab[cutout.picture[..., 3] > 127].mean(axis=0)
    else:
        area, mean, _ = found
    goal = lab_of(COLOURS[colour])
    light = np.clip(goal[0] + _RELIEF * (lab[..., 0] - mean[0]), 4, 97)
    # Towards white and black there is less room for colour.
    room = np.minimum(1, np.minimum(light / goal[0], (100 - light) / (100 - goal[0])))
    tint = goal[None, None, 1:] * room[..., None]
    new = px.from_lab(np.concatenate([light[..., None], tint], axis=2))
    old = px.to_unit(cutout.picture[..., :3])
    pixels = px.to_photo(px.mix(old, new, area))
    return replace(cutout, picture=np.dstack([pixels, cutout.picture[..., 3]]))
