"""Things put into a photograph: where, how large, in its light, with a soft shadow.

Places are fractions of the picture, sizes fractions of the geometric mean of its sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Mask, Photo
from editar_cli.synthesis._pixels import Array
from editar_cli.synthesis.cutouts import Cutout

_LARGEST = 0.8
"""Of the short side: a thing is never larger."""

_SHADOW = 0.45
_SEEN = 1 / 512
"""Weight under which a layer would change an 8-bit pixel by rounding at most: it is taken as 0."""

_GAP = 0.03
"""Fraction of the picture left free between two things."""


@dataclass(frozen=True)
class Spot:
    """Where a thing goes.

    Args:
        x: of its centre, fraction of the width.
        base: of its lower edge, fraction of the height.
        size: of its long side.
        flip: seen from the other side.
    """

    x: float
    base: float
    size: float
    flip: bool = False


@dataclass(frozen=True)
class Layer:
    """A thing as it lies over a photograph: HW3 colours, HW cover and HW shadow, each in [0, 1].

    `box` is (left, top, right, bottom) in fractions of the picture.
    """

    colours: Array
    cover: Array
    shadow: Array
    box: tuple[float, float, float, float]

    @property
    def centre(self) -> tuple[float, float]:
        """x and y of the middle of the thing."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def mask(self) -> Mask:
        """Where it changes the picture."""
        seen: Mask = (self.cover > 0) | (self.shadow > 0)
        return seen

    def overlaps(self, other: Layer) -> bool:
        """Whether the two are not clear of each other."""
        a, b = self.box, other.box
        return not (
            a[2] + _GAP < b[0] or b[2] + _GAP < a[0] or a[3] + _GAP < b[1] or b[3] + _GAP < a[1]
        )


def random_spot(cutout: Cutout, rng: np.random.Generator) -> Spot:
    """Anywhere plausible: on the lower part, or in the upper one for what flies."""
    size = float(rng.uniform(0.17, 0.45))
    x = float(rng.uniform(0.08, 0.92))
    high = float(rng.random())
    base = 0.22 + 0.35 * high if cutout.airborne else 1.0 - 0.42 * high**1.5
    return Spot(x, base, size, bool(rng.random() < 0.5))


def lay(photo: Array, cutout: Cutout, spot: Spot) -> Layer:
    """The thing at its spot, moved inside where it would reach over an edge."""
    import cv2

    height, width = photo.shape[:2]
    scale = float(np.sqrt(height * width))
    rows, columns = cutout.picture.shape[:2]
    side = min(spot.size * scale, _LARGEST * min(height, width))
    tall, wide = (max(1, round(side * n / max(rows, columns))) for n in (rows, columns))
    left = int(np.clip(round(spot.x * width - wide / 2), 0, width - wide))
    top = int(np.clip(round(spot.base * height - tall), 0, height - tall))

    picture = cutout.picture[:, ::-1] if spot.flip else cutout.picture
    rgba = picture.astype(np.float32) / 255
    rgba[..., :3] *= rgba[..., 3:]
    small = px.resize(rgba, tall, wide)
    inside = (slice(top, top + tall), slice(left, left + wide))
    frame = np.zeros((height, width, 4), np.float32)
    frame[inside] = small
    soft = 0.0022 * scale
    if soft > 0.15:
        # Colours are premultiplied, so that softening carries no dark rim into them.
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), soft), np.float32)
    cover = _seen(frame[..., 3])
    own = np.clip(frame[..., :3] / np.maximum(cover, np.float32(1e-3))[..., None], 0, 1)
    colours = _in_the_light_of(photo, inside, own)
    shadow: Array = np.zeros((height, width), np.float32)
    if not cutout.airborne:
        shadow = _seen(_shadow(small[..., 3], shadow, left, top + tall))
    box = (left / width, top / height, (left + wide) / width, (top + tall) / height)
    return Layer(colours, cover, shadow, box)


def _seen(weights: Array) -> Array:
    seen: Array = np.where(weights > _SEEN, np.minimum(weights, 1), np.float32(0))
    return seen


def _in_the_light_of(photo: Array, inside: tuple[slice, slice], colours: Array) -> Array:
    """Darker in a dark place, with a hint of the light's colour, a little less vivid."""
    around = 0.5 * photo[inside].mean(axis=(0, 1)) + 0.5 * photo.mean(axis=(0, 1))
    light = float(px.luminance(around))
    gain = np.clip(0.56 + 0.8 * light, 0.5, 1.06)
    cast = np.clip((around + 0.05) / (light + 0.05), 0.5, 2) ** 0.22
    muted = px.saturate(colours, 0.88)
    lit: Array = np.clip(muted * (gain * np.clip(cast, 0.86, 1.14)).astype(np.float32), 0, 1)
    return lit


def _shadow(outline: Array, empty: Array, left: int, base: int) -> Array:
    """The outline laid flat on the ground under the thing, blurred."""
    import cv2

    height = empty.shape[0]
    tall, wide = outline.shape
    flat = px.resize(outline, max(1, round(0.2 * tall)), wide)
    blur = max(0.3, 0.035 * max(tall, wide))
    low = base + round(0.06 * tall)
    top = low - flat.shape[0]
    shadow = empty.copy()
    rows = slice(max(0, top), min(height, low))
    shadow[rows, left : left + wide] = flat[rows.start - top : rows.stop - top]
    soft = cv2.GaussianBlur(shadow, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(_SHADOW * soft, np.float32)


def over(photo: Array, layers: Sequence[Layer]) -> Photo:
    """The photograph with the things on it, first ones undermost."""
    picture = photo
    for layer in layers:
        shaded = picture * (1 - layer.shadow * (1 - layer.cover))[..., None]
        picture = np.where(
            layer.mask[..., None], px.mix(shaded, layer.colours, layer.cover), picture
        )
    return px.to_photo(picture)


def beside(
    photo: Array, cutout: Cutout, others: Sequence[Layer], rng: np.random.Generator
) -> Layer | None:
    """The thing somewhere clear of the others; `None` where no place is found soon."""
    for _ in range(8):
        spot = random_spot(cutout, rng)
        layer = lay(photo, cutout, replace(spot, size=min(spot.size, 0.32)))
        if not any(layer.overlaps(other) for other in others):
            return layer
    return None
