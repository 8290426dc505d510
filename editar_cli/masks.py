"""What of a picture may change: mask files and regions, soft edges, and the codes they leave free.

A mask says so with white, for every pixel. Arrays named ``mask`` and ``weights`` are (H, W) uint8,
0 where the source stays bit for bit and 255 where the edit stands alone.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from editar_cli import images
from editar_cli.errors import ImageError, UsageError
from editar_cli.geometry import Fit, Geometry

Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels."""

FEATHER_SHARE = 0.003
"""Width of the soft edge that is chosen by itself, in short sides of the picture; 1 px at
least."""
FEATHER_DEPTH = 0.25
"""And at most, in depths of the area, so that its middle is edited wholly."""
ZOOM_CONTEXT = 1.5
"""Side of what the model sees when it looks closely, in long sides of the area."""
ZOOM_WORTH = 0.8
"""Nearer than this share of the whole frame it must come, along one side at least."""

# Formats whose black is not quite black.
_LOSSY = frozenset({"AVIF", "HEIF", "JPEG", "JPEG2000", "WEBP"})
_LOSSY_NOISE = 12


@dataclass(frozen=True)
class Length:
    """A number of pixels, or a share of the picture's side."""

    value: float
    percent: bool = False

    def pixels(self, side: int) -> float:
        """In pixels, of a picture with this side."""
        return self.value * side / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.percent else ''}"


@dataclass(frozen=True)
class Region:
    """A rectangle of the upright picture.

    Args:
        left, top: its corner.
        width, height: its size, more than 0.

    Raises:
        UsageError: it is empty.
    """

    left: Length
    top: Length
    width: Length
    height: Length

    def __post_init__(self) -> None:
        if self.width.value <= 0 or self.height.value <= 0:
            raise UsageError(f"--region {self}: width and height must be more than 0")

    def __str__(self) -> str:
        return ",".join(map(str, (self.left, self.top, self.width, self.height)))

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Read ``x,y,w,h``, each in pixels or, with %, in percent of the picture's side.

        Raises:
            UsageError: it is none.
        """
        number = r"\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*"
        found = re.fullmatch(",".join([number] * 4), text)
        if found is None:
            raise UsageError(
                f"--region {text}: must be x,y,w,h, in pixels or in percent: 10%,20%,50%,40%"
            )
        parts = found.groups()
        return cls(*(Length(float(parts[i]), parts[i + 1] == "%") for i in range(0, 8, 2)))

    def box(self, size: tuple[int, int], name: str) -> Box:
        """Its pixels in a picture of (width, height), cut off at the frame: one at least.

        Raises:
            ImageError: it lies outside of the picture, which is called ``name``.
        """
        ends = []
        for start, length, side in (
            (self.left, self.width, size[0]),
            (self.top, self.height, size[1]),
        ):
            exact = start.pixels(side), start.pixels(side) + length.pixels(side)
            first = max(0, round(exact[0]))
            last = min(side, max(round(exact[1]), round(exact[0]) + 1))
            if first >= last:
                raise ImageError(
                    f"{name}: --region {self} lies outside of it: it is {size[0]} x {size[1]}"
                )
            ends.append((first, last))
        (left, right), (top, bottom) = ends
        return left, top, right, bottom


@dataclass(frozen=True, kw_only=True)
class AreaSettings:
    """Where pictures may change, beside their masks.

    Args:
        region: a rectangle; of a masked picture what lies in both may change.
        feather: width in source pixels of the soft edge, which lies inside; ``None`` is 0.3 % of
            the picture's short side, 0 a hard edge.
        invert: of masks black may change, not white; without a mask all but the region.
        zoom: the model sees the area and its surroundings only, not the whole picture.

    Raises:
        UsageError: a value is out of range.
    """

    region: Region | None = None
    feather: float | None = None
    invert: bool = False
    zoom: bool = True

    def __post_init__(self) -> None:
        if self.feather is not None and not 0 <= self.feather < 1e6:
            raise UsageError(f"--feather {self.feather:g}: must be 0 or more pixels")

    @property
    def facts(self) -> dict[str, object]:
        """What was chosen, for the note in each output."""
        facts: dict[str, object] = {}
        if self.region is not None:
            facts["region"] = str(self.region)
        if self.feather is not None:
            facts["feather"] = self.feather
        if self.invert:
            facts["invert_mask"] = True
        if not self.zoom:
            facts["zoom"] = False
        return facts


NO_AREA = AreaSettings()
"""Everywhere, where no mask says otherwise."""


def read_mask(
    file: Path, size: tuple[int, int], name: str, options: images.ReadOptions | None = None
) -> Mask:
    """Read a mask file for a picture.

    Args:
        file: any picture that can be read.
        size: (width, height) of the upright picture.
        name: of the picture, for messages.
        options: what is refused.

    Returns:
        (H, W) uint8 at the picture's size, 255 where it may change.

    Raises:
        ImageError: it cannot be read or has another shape than the picture.
    """
    return mask_of(images.read_image(file, options=options), size, name)


def mask_of(source: images.Source, size: tuple[int, int], name: str) -> Mask:
    """As ``read_mask``, of a mask that is read already."""
    mask = _levels(source)
    width, height = source.size
    if (width, height) == size:
        return mask
    # As far as whole pixels can say, of the same shape.
    near = (
        abs(height - width * size[1] / size[0]) <= 1 or abs(width - height * size[0] / size[1]) <= 1
    )
    if not near:
        raise ImageError(
            f"{source.name}: is {width} x {height}, but {name} is {size[0]} x {size[1]}: a mask "
            "needs its picture's size, or its shape at another size"
        )
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))


def _levels(source: images.Source) -> Mask:
    """(H, W) uint8: how white, or how opaque, each pixel is."""
    # The brightest channel: a red area on black is meant as one.
    mask: Mask = source.pixels.max(axis=2)
    if source.alpha is not None and source.alpha.min() < 255:
        shown = source.pixels[source.alpha > 0]
        painted = len(shown) > 0 and bool((shown == shown[0]).all())
        grey = bool((shown == shown[:, :1]).all())
        if painted or not grey:
            # One colour on nothing, or a cut-out: what it covers is the area.
            mask = source.alpha
        else:
            mask = (mask.astype(np.uint16) * source.alpha // 255).astype(np.uint8)
    if mask.max() == 1:
        # 0 and 1, as arrays of truth values are often saved.
        return mask * np.uint8(255)
    if source.format in _LOSSY:
        mask = np.where(mask < _LOSSY_NOISE, 0, mask).astype(np.uint8)
        mask[mask > 255 - _LOSSY_NOISE] = 255
    return mask


@dataclass(frozen=True, kw_only=True)
class Area:
    """Where one picture may change.

    Args:
        weights: (H, W) uint8: how much of the edit shows in each pixel of the source.
        window: the part of the source that the model is shown of.
        cells: (g, g) bool: codes that may differ from the source's.
        notes: what the person should know about it.
    """

    weights: Mask
    window: Box
    cells: NDArray[np.bool_]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing may change."""
        return not self.cells.any()

    def seen(self, source: images.Source) -> images.Source:
        """The part of the source in the window: pixels and alpha."""
        left, top, right, bottom = self.window
        alpha = source.alpha
        return images.Source(
            name=source.name,
            pixels=source.pixels[top:bottom, left:right],
            alpha=None if alpha is None else alpha[top:bottom, left:right],
        )

    def put_into(self, source: images.Source, edited: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The source, with an edit of what is ``seen`` of it where it may change."""
        left, top, right, bottom = self.window
        pixels = source.pixels.copy()
        part = pixels[top:bottom, left:right]
        part[:] = blend(part, edited, self.seen_weights)
        return pixels

    @property
    def seen_weights(self) -> Mask:
        """The weights in the window."""
        left, top, right, bottom = self.window
        return self.weights[top:bottom, left:right]


def find_area(
    options: AreaSettings,
    mask: Mask | None,
    source: images.Source,
    *,
    size: int,
    grid: int,
    fit: Fit,
) -> Area | None:
    """Where a picture may change; ``None`` where all of it may.

    Args:
        options: region, feather and the like.
        mask: (H, W) uint8 at the source's size, or ``None``.
        source: the picture.
        size: side of the model's square in pixels.
        grid: codes along a side of it.
        fit: how the frame becomes the square.

    Raises:
        ImageError: the region lies outside of the picture.
    """
    if mask is None and options.region is None:
        return None
    width, height = source.size
    chosen = np.full((height, width), 255, np.uint8) if mask is None else mask
    if options.invert and mask is not None:
        chosen = 255 - chosen
    if options.region is not None:
        left, top, right, bottom = options.region.box(source.size, source.name)
        inside = np.zeros_like(chosen)
        inside[top:bottom, left:right] = chosen[top:bottom, left:right]
        chosen = 255 - inside if options.invert and mask is None else inside
    weights = soften(chosen, options.feather)
    if weights.min() == 255:
        return None
    window = (0, 0, width, height)
    if options.zoom:
        window = close_window(weights, least=size) or window
    left, top, right, bottom = window
    geometry = Geometry.of(source=(right - left, bottom - top), size=size, fit=fit)
    cells = changeable_cells(weights[top:bottom, left:right], geometry, grid)
    area = Area(weights=weights, window=window, cells=cells)
    return replace(area, notes=_notes(area, geometry))


def _notes(area: Area, geometry: Geometry) -> tuple[str, ...]:
    if not area.weights.any():
        return ("its mask lets nothing change: the result is the source",)
    left, top, right, bottom = geometry.source_box
    inside = np.count_nonzero(area.seen_weights[top:bottom, left:right])
    total = np.count_nonzero(area.weights)
    if not inside:
        return (
            "--fit crop shows the model nothing of what may change: the result is the source; "
            "--fit stretch or pad shows all",
        )
    if inside < total:
        share = 100 * (total - inside) / total
        return (
            f"--fit crop hides {share:.0f} % of what may change from the model: that stays as it "
            "is; --fit stretch or pad shows all",
        )
    return ()


def soften(mask: Mask, feather: float | None) -> Mask:
    """Give a mask a soft edge on its inner side.

    Args:
        mask: (H, W) uint8; its own soft edges stay where they are softer already.
        feather: width of the edge in pixels, 0 for none; ``None`` chooses one.

    Returns:
        (H, W) uint8: 0 where the mask is, and never more than the mask. The frame is no edge.
    """
    if feather == 0 or mask.all() or not mask.any():
        return mask
    import cv2

    # Of a pixel beside the edge it is 1.
    distance = cv2.distanceTransform(
        (mask > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    if feather is None:
        wide = max(1.0, FEATHER_SHARE * min(mask.shape))
        feather = min(wide, FEATHER_DEPTH * float(distance.max()))
    ramp = np.clip((distance - 0.5) / np.float32(feather), 0, 1)
    ramp *= ramp * (3 - 2 * ramp)
    softened: Mask = np.minimum(mask, np.rint(ramp * 255).astype(np.uint8))
    return softened


def close_window(weights: Mask, *, least: int) -> Box | None:
    """What the model sees of a picture when it looks closely: the area with what is around it.

    Args:
        weights: (H, W) uint8.
        least: no side is shorter, unless the picture's is.

    Returns:
        The window, in the picture's frame; ``None`` where it would show about the whole frame, or
        where nothing may change.
    """
    if not weights.any():
        return None
    height, width = weights.shape
    columns, rows = (np.flatnonzero(weights.any(axis=axis)) for axis in (0, 1))
    starts, ends = (columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)
    longest = max(end - start for start, end in zip(starts, ends, strict=True))
    side = max(least, round(ZOOM_CONTEXT * int(longest)))
    spans = []
    for start, end, length in zip(starts, ends, (width, height), strict=True):
        first = (int(start) + int(end) - side) // 2
        first = max(0, min(first, length - side))
        spans.append((first, min(length, first + side)))
    (left, right), (top, bottom) = spans
    if min((right - left) / width, (bottom - top) / height) > ZOOM_WORTH:
        return None
    return left, top, right, bottom


def changeable_cells(weights: Mask, geometry: Geometry, grid: int) -> NDArray[np.bool_]:
    """(g, g) bool: the codes of the model's square in which some pixel may change.

    Args:
        weights: (H, W) uint8 of the source.
        geometry: how the source becomes the square; cells beyond its frame, which repeat its edge,
            go with that edge.
        grid: codes along a side.
    """
    some = weights > 0
    # First the columns of each row of cells, then the cells.
    for axis in (0, 1):
        length = some.shape[axis]
        across = 1 - axis
        scale = length / geometry.scaled[across]
        borders = (np.arange(grid + 1) * geometry.size / grid + geometry.offset[across]) * scale
        first = np.clip(np.floor(borders[:-1] + 1e-6), 0, length - 1).astype(int)
        last = np.clip(np.ceil(borders[1:] - 1e-6), first + 1, length).astype(int)
        parts = [
            some.take(range(a, b), axis=axis).any(axis=axis)
            for a, b in zip(first, last, strict=True)
        ]
        some = np.stack(parts, axis=axis)
    return some


def in_square(weights: Mask, geometry: Geometry) -> Mask:
    """The weights of a source as the model's square shows it: (S, S) uint8."""
    scaled = Image.fromarray(weights).resize(geometry.scaled, Image.Resampling.BOX)
    left, top = geometry.offset
    size = geometry.size
    cut = np.asarray(scaled)[max(0, top) : top + size, max(0, left) : left + size]
    before = (max(0, -top), max(0, -left))
    after = (size - cut.shape[0] - before[0], size - cut.shape[1] - before[1])
    return np.pad(cut, ((before[0], after[0]), (before[1], after[1])), mode="edge")


def blend(source: Mask, edited: Mask, weights: Mask) -> Mask:
    """(H, W, 3) uint8: the source where weights (H, W) are 0, the edit where they are 255."""
    result = np.where(weights[:, :, None] == 255, edited, source)
    soft = (weights > 0) & (weights < 255)
    share = weights[soft][:, None].astype(np.uint32)
    result[soft] = (source[soft] * (255 - share) + edited[soft] * share + 127) // 255
    return result
