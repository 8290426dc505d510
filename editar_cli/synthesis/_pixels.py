"""Numeric helpers shared by the effects.

Pictures are float32 HWC RGB in [0, 1] (gamma-coded sRGB, as in the file); maps are float32 HW.
Every length is a fraction of the picture's short side, so that an effect looks the same on a
small picture and on a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from editar_cli.synthesis._effect import Photo

Array = npt.NDArray[np.floating[Any]]
"""Floating point values; float32 wherever a whole picture is concerned."""

REC709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luma weights of ITU-R BT.709."""

_CUE_SIDE = 64
"""Short side in pixels at which scene cues are computed: independent of the picture's size."""

_LAYER_SIDE = 512
"""Least short side in pixels at which strokes and dots are drawn before they are scaled."""

_SUBPIXEL_BITS = 4


def to_unit(photo: Photo) -> Array:
    """uint8 in 0..255 to float32 in [0, 1]."""
    return photo.astype(np.float32) * np.float32(1 / 255)


def to_photo(picture: Array) -> Photo:
    """float32 in [0, 1] (clipped) to uint8, rounded."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def luminance(picture: Array) -> Array:
    """BT.709 luma of HWC in [0, 1], HW."""
    return cast(Array, picture @ REC709)


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, the cubic 3t^2 - 2t^3 between them."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return cast(Array, t * t * (3 - 2 * t))


def mix(first: Array, second: Array, weight: Array | float) -> Array:
    """`first` where the weight is 0 and `second` where it is 1; HW weights serve all channels."""
    share = np.asarray(weight, np.float32)
    if 0 < share.ndim < max(first.ndim, second.ndim):
        share = share[..., None]
    return cast(Array, first + (second - first) * share)


def colour(red: float, green: float, blue: float) -> Array:
    """One RGB colour in [0, 1], shaped to broadcast over HWC."""
    return np.array([[[red, green, blue]]], np.float32)


def saturate(picture: Array, factor: float | Array) -> Array:
    """Scale the distance from grey by `factor` (0 gives grey, above 1 more colour)."""
    grey = luminance(picture)[..., None]
    share = np.asarray(factor, np.float32)
    if share.ndim:
        share = share[..., None]
    return cast(Array, grey + (picture - grey) * share)


def vary(rng: np.random.Generator, amount: float) -> float:
    """A factor drawn evenly from 1 - amount to 1 + amount."""
    return 1 + amount * (2 * float(rng.random()) - 1)


def short_side(picture: npt.NDArray[np.generic]) -> int:
    """The smaller of height and width, pixels."""
    return int(min(picture.shape[0], picture.shape[1]))


def resize(picture: Array, height: int, width: int) -> Array:
    """Area averaging when shrinking, bilinear when growing."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    shrinks = height * width < picture.shape[0] * picture.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast(Array, cv2.resize(picture, (width, height), interpolation=method))


def blur(picture: Array, fraction: float) -> Array:
    """Gaussian blur with a standard deviation of `fraction` of the short side.

    Wide blurs are made on a reduced picture: the same to the eye and far cheaper.
    """
    import cv2

    height, width = picture.shape[:2]
    sigma = fraction * short_side(picture)
    if sigma < 0.15:
        return picture
    factor = int(sigma / 2.5)
    if factor >= 2 and short_side(picture) // factor >= 4:
        small = resize(picture, max(1, height // factor), max(1, width // factor))
        done = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
        return resize(cast(Array, done), height, width)
    done = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return cast(Array, done)


def toned(light: Array, stops: Sequence[tuple[float, tuple[float, float, float]]]) -> Array:
    """RGB for each luma by a scale of (luma, colour) stops, straight lines between them, HWC."""
    places = np.array([place for place, _ in stops], np.float32)
    tones = np.array([tone for _, tone in stops], np.float32)
    channels = [np.interp(light, places, tones[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def noise(
    picture: npt.NDArray[np.generic], rng: np.random.Generator, *, cell: float, channels: int = 1
) -> Array:
    """Gaussian noise with grains of `cell` of the short side: mean 0, HWC.

    Its standard deviation is 1 at the grains and less between them. The grains of one generator
    are the same at every size of the picture.
    """
    height, width = picture.shape[:2]
    scale = 1 / (cell * min(height, width))
    size = (max(2, min(1024, round(height * scale))), max(2, min(1024, round(width * scale))))
    grains = rng.standard_normal((*size, channels), np.float32)
    return resize(grains, height, width).reshape(height, width, channels)


def clouds(picture: npt.NDArray[np.generic], rng: np.random.Generator) -> Array:
    """Soft random forms, wider than high, of several sizes: about -1 to 1, HW."""
    height, width = picture.shape[:2]
    total: Array = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = (2 + 3 * 2**octave, 2 + 2 * 2**octave)
        grains = rng.standard_normal(cells, np.float32)
        total += resize_smoothly(grains, height, width) * np.float32(0.5 * 0.6**octave)
    return total


def resize_smoothly(picture: Array, height: int, width: int) -> Array:
    """Bicubic growth, for maps of a few cells."""
    import cv2

    return cast(Array, cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC))


def rows(picture: npt.NDArray[np.generic]) -> Array:
    """Height in the picture of each pixel centre: 0 at the top, 1 at the bottom, (H, 1)."""
    height = picture.shape[0]
    return cast(Array, (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height)


def columns(picture: npt.NDArray[np.generic]) -> Array:
    """Place across the picture of each pixel centre: 0 at the left, 1 at the right, (1, W)."""
    width = picture.shape[1]
    return cast(Array, (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width)


def sky_weight(picture: Array) -> Array:
    """How surely each pixel is sky, 0 to 1, HW.

    Smooth, not green, not dark parts that can be reached from the top edge without crossing a
    strong edge, found on a small copy and fitted to the picture's own edges by a guided filter
    (He, Sun and Tang, "Guided Image Filtering", 2010, in its subsampled form).
    """
    import cv2

    height, width = picture.shape[:2]
    scale = _CUE_SIDE / min(height, width)
    small_height = max(4, min(4 * _CUE_SIDE, round(height * scale)))
    small_width = max(4, min(4 * _CUE_SIDE, round(width * scale)))
    small = resize(picture, small_height, small_width)
    light = luminance(small)
    across = np.abs(np.diff(small, axis=1, append=small[:, -1:])).max(axis=2)
    down = np.abs(np.diff(small, axis=0, append=small[-1:])).max(axis=2)
    edges = cv2.blur(np.maximum(across, down), (3, 3), borderType=cv2.BORDER_REPLICATE)
    texture = cv2.blur(edges, (7, 5), borderType=cv2.BORDER_REPLICATE)
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    calm = 1 - smoothstep(0.06, 0.14, np.maximum(0.8 * edges, 1.3 * texture))
    not_green = 1 - smoothstep(0.01, 0.06, green - np.maximum(blue, red - 0.02))
    not_earth = 1 - smoothstep(0.10, 0.26, np.minimum(red, green) - blue) * (
        1 - smoothstep(0.4, 0.6, light)
    )
    typical = float(np.median(light))
    bright = smoothstep(0.16, 0.30, np.maximum(light, 0.9 * blue))
    bright = bright * smoothstep(0.55, 0.8, light / max(typical, 0.05) + 0.5 * (blue > red + 0.08))
    likely = calm * not_green * not_earth * bright
    reached = _reached_from_above(likely)
    # A sea goes on where the sky ends, at times without an edge, but it is a good deal darker.
    level = float((reached * light).sum() / max(float(reached.sum()), 1e-3))
    half = int(float(reached.mean()) * small_height / 2)
    dark = 1 - smoothstep(0.62, 0.76, light[half:] / max(level, 0.05))
    likely[half:] *= 1 - dark
    reached = _reached_from_above(likely)
    # The edge test stops one cell short of the skyline.
    reached = cast(Array, cv2.dilate(reached, np.ones((3, 3), np.uint8)))
    low = np.minimum(1, (1.0 - rows(small)) * 4)
    # A few cells at the top of a wall are no sky.
    presence = smoothstep(0.03, 0.12, np.array(reached.mean(), np.float32))
    reached = (reached * low * presence).astype(np.float32)

    guide_weights = np.array([0.15, 0.35, 0.5], np.float32)
    guide = cast(Array, small @ guide_weights)

    def box(values: Array) -> Array:
        return cast(Array, cv2.blur(values, (7, 7), borderType=cv2.BORDER_REPLICATE))

    mean_guide, mean_reached = box(guide), box(reached)
    variance = box(guide * guide) - mean_guide * mean_guide
    covariance = box(guide * reached) - mean_guide * mean_reached
    slope = covariance / (variance + np.float32(1e-3))
    offset = mean_reached - slope * mean_guide
    full_guide = picture @ guide_weights
    fitted = resize(box(slope), height, width) * full_guide + resize(box(offset), height, width)
    return smoothstep(0.15, 0.8, fitted)


def _reached_from_above(likely: Array) -> Array:
    """The least likelihood on the best way down to each cell from the top row, HW."""
    reached: Array = np.empty_like(likely)
    above = np.ones(likely.shape[1], np.float32)
    for y in range(len(likely)):
        wide = np.pad(above, 1, mode="edge")
        above = np.minimum(likely[y], np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:]))
        reached[y] = above
    return reached


def horizon(sky: Array) -> float:
    """Where the ground begins, as a fraction of the height from the top, kept in 0.08 to 0.85."""
    return float(np.clip(sky.mean(), 0.08, 0.85))


def local_detail(light: Array, fraction: float) -> Array:
    """Luma minus its surroundings, in units of the local spread (about -2 to 2), HW."""
    fine = light - blur(light, fraction)
    spread = np.sqrt(np.maximum(blur(fine * fine, 2.5 * fraction), 0)) + np.float32(0.02)
    return cast(Array, fine / spread)


def hue_saturation_value(picture: Array) -> tuple[Array, Array, Array]:
    """HSV of HWC RGB: hue in degrees 0 to 360, saturation and value in [0, 1], each HW."""
    import cv2

    hsv = cast(Array, cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2HSV))
    return hsv[..., 0], hsv[..., 1], hsv[..., 2]


def from_hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """RGB in [0, 1] from hue in degrees, saturation and value."""
    import cv2

    hsv = np.stack([np.mod(hue, 360), np.clip(saturation, 0, 1), np.clip(value, 0, 1)], axis=-1)
    return cast(Array, cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB))


def to_lab(picture: Array) -> Array:
    """CIE L*a*b* (D65; L 0 to 100) of sRGB in [0, 1], HWC."""
    import cv2

    return cast(Array, cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2LAB))


def from_lab(lab: Array) -> Array:
    """sRGB in [0, 1] from CIE L*a*b* (D65), HWC, clipped to the gamut."""
    import cv2

    return np.clip(cast(Array, cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)), 0, 1)


def kuwahara(picture: Array, fraction: float) -> Array:
    """Kuwahara filter: each pixel takes the mean of the calmest of its four corner windows.

    `fraction` of the short side is the window's radius. Flat patches with firm borders, as paint
    lies (Kuwahara et al., 1976).
    """
    import cv2

    radius = max(1, round(fraction * short_side(picture)))
    size = (radius + 1, radius + 1)
    light = luminance(picture)
    height, width = light.shape

    def window_means(values: Array) -> Array:
        """Mean over the window above and to the left of each pixel of the padded map."""
        padded = cv2.copyMakeBorder(values, radius, radius, radius, radius, cv2.BORDER_REFLECT)
        return cast(Array, cv2.boxFilter(padded, -1, size, anchor=(radius, radius)))

    means = window_means(light)
    variances = window_means(light * light) - means * means
    corners = [
        (slice(dy, dy + height), slice(dx, dx + width))
        for dy in (radius, 2 * radius)
        for dx in (radius, 2 * radius)
    ]
    colours = window_means(picture)
    best = colours[corners[0]].copy()
    least = variances[corners[0]].copy()
    for corner in corners[1:]:
        calmer = (variances[corner] < least).astype(np.uint8)
        cv2.copyTo(colours[corner], calmer, best)
        np.minimum(least, variances[corner], out=least)
    return best


def ink_lines(light: Array, fraction: float, *, threshold: float, softness: float) -> Array:
    """Dark line drawing of a luma map: 1 on a line, 0 elsewhere, HW.

    Difference of Gaussians with a soft threshold (Winnemoeller, "XDoG", 2011); `fraction` is the
    inner Gaussian's width, `threshold` and `softness` are luma differences.
    """
    inner = blur(light, fraction)
    outer = blur(light, 1.6 * fraction)
    return smoothstep(threshold, threshold + softness, outer - inner)


def _layer_size(picture: npt.NDArray[np.generic]) -> tuple[int, int]:
    height, width = picture.shape[:2]
    scale = max(1.0, _LAYER_SIDE / min(height, width))
    return max(1, min(4096, round(height * scale))), max(1, min(4096, round(width * scale)))


def _fit_layer(layer: Photo, picture: npt.NDArray[np.generic]) -> Array:
    import cv2

    height, width = picture.shape[:2]
    method = cv2.INTER_AREA if height < layer.shape[0] else cv2.INTER_LINEAR
    return to_unit(cast(Photo, cv2.resize(layer, (width, height), interpolation=method)))


def dots(
    picture: npt.NDArray[np.generic],
    rng: np.random.Generator,
    *,
    count: int,
    radius: tuple[float, float],
    strength: tuple[float, float],
) -> Array:
    """A layer of round soft dots at random places, HW in [0, 1].

    `count` is per square of the short side; radii are fractions of the short side. Small dots are
    frequent, large ones rare.
    """
    import cv2

    height, width = _layer_size(picture)
    side = min(height, width)
    number = min(20 * count, round(count * max(height, width) / side))
    draws = rng.random((number, 4))
    layer = np.zeros((height, width), np.uint8)
    one = 1 << _SUBPIXEL_BITS
    for x, y, size, power in draws:
        length = (radius[0] + (radius[1] - radius[0]) * size**3) * side
        level = round(255 * (strength[0] + (strength[1] - strength[0]) * power))
        centre = (int(x * width * one), int(y * height * one))
        cv2.circle(layer, centre, int(length * one), level, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    soft = cv2.GaussianBlur(layer, (0, 0), 0.0012 * side)
    return _fit_layer(cast(Photo, soft), picture)


def streaks(
    picture: npt.NDArray[np.generic],
    rng: np.random.Generator,
    *,
    count: int,
    length: tuple[float, float],
    thickness: float,
    slant: float,
    strength: tuple[float, float],
) -> Array:
    """A layer of parallel falling lines at random places, HW in [0, 1].

    `count` is per square of the short side; lengths and the thickness are fractions of the short
    side; `slant` is the sideways run per unit of fall.
    """
    import cv2

    height, width = _layer_size(picture)
    side = min(height, width)
    number = min(20 * count, round(count * max(height, width) / side))
    draws = rng.random((number, 4))
    layer = np.zeros((height, width), np.uint8)
    one = 1 << _SUBPIXEL_BITS
    pen = max(1, round(thickness * side))
    for x, y, size, power in draws:
        fall = (length[0] + (length[1] - length[0]) * size) * side
        level = round(255 * (strength[0] + (strength[1] - strength[0]) * power))
        left, top = (1.2 * x - 0.1) * width, (1.1 * y - 0.1) * height
        start = (int(left * one), int(top * one))
        end = (int((left + slant * fall) * one), int((top + fall) * one))
        cv2.line(layer, start, end, level, pen, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _fit_layer(layer, picture)
