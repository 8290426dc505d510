"""Ready-made maps: told from photographs, brought to the form a model was trained with, resized.

What a map is is decided by measured features of its pixels. The bounds were set on 137 photographs,
their edge and region maps, and 150 rendered depth maps, each as they are, as JPEG of quality 75 and
enlarged; beside each bound stands what was found on either side of it.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import ImageError
from editar_cli.modes._mode import Picture, RawMap, Reading

Grey = NDArray[np.uint8]

_MOST_COLOURED = 0.02
"""Share of pixels whose channels differ by over 24: maps in black and white 0, 95 % of photographs
over 0.05."""

_MOST_STRAY = 0.09
"""Share of grey pixels that lie beside no line: edge maps at most 0.08, 97 % of greyscale
photographs more."""

_MOST_LINES = 0.5
"""Share of white pixels: the busiest of the photographs gives 0.3."""

_MOST_BULK = 0.62
"""Share of light left when everything thinner than 13 px (at 256 px) is taken away: soft edges at
most 0.61, greyscale photographs at least 0.64."""

_MOST_TEXTURE = 0.19
"""Share of places with fine texture: depth maps at most 0.18, 85 % of greyscale photographs
more."""

_MOST_TEXTURE_AWAY = 0.11
"""The same with finer texture, in places away from strong edges only, where JPEG does not ring:
depth maps at most 0.11. With both bounds 95 % of the greyscale photographs are refused; the others
are smooth enough to be depth maps, for all that pixels can tell."""

_EXACT_GREYS, _EXACT_FLAT = 64, 0.3
"""A greyscale photograph may well have no more greys than there are labels, and a flat sky: greys
are taken as they are where they are few and most of the map is flat. Region maps are flat in 0.44
or more."""

_LEAST_FLAT, _LEAST_CLEAR, _LEAST_NEAR = 0.03, 0.45, 0.4
"""Shares of a region map's pixels: in neighbourhoods of one colour; clearly nearest to one of the
few main colours; within 10 of it. Nine in ten photographs fail the first."""

_OFF, _MOST_OFF = 8, 0.25
"""Share of colours within 8 of one with a larger area: exact maps at most 0.03, JPEG of simple maps
at least 0.67."""

_MAIN_COLOURS, _LEAST_SHARE, _APART = 32, 0.02, 40.0
REGIONS = 6
"""Regions in maps of the style "regions": as many as the embedded model was trained with."""

_FIND = "leave out --input map to have it found for you"


def read_lines(raw: RawMap, invert: bool, style: str = "") -> Reading:
    """A Canny map: white lines on black, 0 and 255 only.

    Black lines on white are turned round without being asked.

    Raises:
        ImageError: a photograph, no lines, or more lines than ground.
    """
    grey = _grey(raw, "an edge map")
    stray = _stray(grey)
    if stray > _MOST_STRAY:
        raise ImageError(
            f"{raw.name}: is no edge map: {100 * stray:.0f} % of it is grey with no line near; a "
            f"photograph? Then {_FIND}"
        )
    lines = np.where(grey > 127, 255, 0).astype(np.uint8)
    notes, lines = _turned(lines, bool((lines > 0).mean() > 0.5), invert)
    share = float((lines > 0).mean())
    if share == 0.0:
        raise ImageError(f"{raw.name}: is an edge map with no edge in it: every pixel is alike")
    if share > _MOST_LINES:
        raise ImageError(
            f"{raw.name}: is no edge map: {100 * share:.0f} % of it are lines; should it not have "
            "been inverted?"
        )
    return Reading(pixels=_rgb(lines), notes=notes)


def read_soft_lines(raw: RawMap, invert: bool, style: str = "") -> Reading:
    """Soft edges, as HED draws them: light on black; values are kept.

    Raises:
        ImageError: a photograph, or nothing but black.
    """
    grey = _grey(raw, "a map of soft edges")
    notes, turned = _turned(grey, bool(np.median(grey) > 127), invert)
    if int(turned.max()) - int(turned.min()) < 16:
        raise ImageError(f"{raw.name}: is a map of edges with no edge in it: all of it is alike")
    bulk = _bulk(turned)
    if bulk > _MOST_BULK:
        raise ImageError(
            f"{raw.name}: is no map of soft edges: {100 * bulk:.0f} % of its light lies in broad "
            f"areas; a photograph? Then {_FIND}"
        )
    return Reading(pixels=_rgb(turned), notes=notes)


def read_depth(raw: RawMap, invert: bool, style: str = "") -> Reading:
    """A depth map: near is bright, scaled to its own range of 0..255.

    Sixteen bits are used where the file has them; zeros far below everything else are missing
    values there and become far.

    Raises:
        ImageError: a photograph, a colour-coded map, or all of one depth.
    """
    if raw.deep is None and _coloured(_checked(raw)) > _MOST_COLOURED:
        if _flat(raw.pixels) < 0.5 and _rainbow(raw.pixels):
            raise ImageError(
                f"{raw.name}: is a depth map in false colours; give the greyscale one that it was "
                "made of"
            )
        raise ImageError(f"{raw.name}: is in colour, so no depth map; a photograph? Then {_FIND}")
    values = (_checked(raw)[..., 1] if raw.deep is None else raw.deep).astype(np.float64)
    notes = []
    missing = np.zeros(values.shape, np.bool_)
    if raw.deep is not None and (values == 0).any() and (values > 0).any():
        lowest = float(values[values > 0].min())
        if lowest > 0.05 * float(values.max()):
            missing = values == 0
            notes.append(f"{100 * missing.mean():.0f} % of it has no depth and is taken as far")
    seen = values[~missing]
    low, high = float(seen.min()), float(seen.max())
    if high - low < (4 if raw.deep is None else 64):
        raise ImageError(f"{raw.name}: is a depth map of one depth: every pixel is alike")
    near = (values - low) / (high - low)
    if invert:
        near = 1 - near
        notes.append("near was dark, inverted")
    near[missing] = 0
    grey = np.rint(255 * near).astype(np.uint8)
    texture, away = _texture(grey)
    if max(texture - _MOST_TEXTURE, away - _MOST_TEXTURE_AWAY) > 0:
        raise ImageError(
            f"{raw.name}: is no depth map: {100 * max(texture, away):.0f} % of it has fine "
            f"texture; a photograph? Then {_FIND}"
        )
    third = max(1, grey.shape[0] // 3)
    if not invert and float(grey[-third:].mean()) + 40 < float(grey[:third].mean()):
        notes.append("its top is brighter than its bottom; if near is dark in it, add --invert")
    return Reading(pixels=_rgb(grey), notes=tuple(notes))


def read_segmentation(raw: RawMap, invert: bool, style: str = "coco-stuff") -> Reading:
    """Regions in flat colours, or label ids.

    In the style "coco-stuff" ids become that data set's colours, and colours are kept; in the style
    "regions" every region is coloured by its rank in area, as the embedded model knows it.

    Raises:
        ImageError: a photograph, a single region, or ids that the data set does not have.
    """
    if invert:
        raise ImageError(f"{raw.name}: a segmentation map cannot be the other way round")
    pixels = _checked(raw)
    if raw.deep is not None and int(raw.deep.max()) < 256:
        # Labels in a 16-bit file, which scaled to 8 bits would all be 0 or 1.
        pixels = _rgb(raw.deep.astype(np.uint8))
    notes: list[str] = []
    if _flat(pixels) >= 0.999 or _few(pixels):
        labels, colours = _as_they_are(pixels)
    else:
        flat, clear, near = _region_features(pixels)
        grey = bool((pixels == pixels[..., :1]).all())
        if (
            flat < (_EXACT_FLAT if grey else _LEAST_FLAT)
            or clear < _LEAST_CLEAR
            or near < _LEAST_NEAR
        ):
            raise ImageError(
                f"{raw.name}: is no map of regions: only {100 * flat:.0f} % of it lies in flat "
                f"colour; a photograph? Then {_FIND}"
            )
        colours = _main_colours(pixels)
        labels = _nearest_colour(pixels, colours)
        notes.append(f"blended colours set to the nearest of {len(colours)}")
    if len(np.unique(labels)) < 2:
        raise ImageError(f"{raw.name}: is a map of one region: every pixel is alike")
    if style == "regions":
        return _by_rank(pixels, labels, colours, notes)

    from editar_cli.modes.segmentation import coco_colours, colour_labels

    palette = coco_colours()
    ids = colours[:, 0].astype(int)
    if raw.grey or bool((colours == colours[:, :1]).all() and (ids < len(palette)).all()):
        wrong = [int(i) for i in ids if i >= len(palette) and i != 255]
        if wrong:
            raise ImageError(
                f"{raw.name}: has the label id {wrong[0]}; COCO-Stuff has 0 to "
                f"{len(palette) - 1}, and 255 for none"
            )
        return Reading(
            pixels=colour_labels(ids[labels]), notes=(*notes, "label ids, given their colours")
        )
    known = {tuple(colour) for colour in palette.tolist()} | {(0, 0, 0)}
    shares = np.bincount(labels.ravel(), minlength=len(colours)) / labels.size
    foreign = sum(
        float(share)
        for colour, share in zip(colours.tolist(), shares, strict=True)
        if tuple(colour) not in known
    )
    if foreign > 0.5:
        notes.append(
            f"{100 * foreign:.0f} % of it is in colours that COCO-Stuff's palette does not have"
        )
    return Reading(pixels=colours[labels], notes=tuple(notes))


def _by_rank(
    pixels: Picture, labels: NDArray[np.intp], colours: Picture, notes: list[str]
) -> Reading:
    """The largest regions in the embedded model's colours, the others joined to the likest."""
    from editar_cli.modes.segmentation import palette

    areas = np.bincount(labels.ravel(), minlength=len(colours))
    order = np.argsort(-areas, kind="stable")
    kept = order[:REGIONS]
    ranks = np.empty(len(colours), np.intp)
    ranks[kept] = np.arange(len(kept))
    for label in order[REGIONS:]:
        apart = ((colours[kept].astype(int) - colours[label].astype(int)) ** 2).sum(1)
        ranks[label] = int(apart.argmin())
    if joined := int((areas[order[REGIONS:]] > 0).sum()):
        notes.append(f"{joined} small regions joined to the {REGIONS} largest")
    return Reading(pixels=palette(REGIONS)[ranks[labels]], notes=tuple(notes))


def resize_map(
    pixels: Picture, size: tuple[int, int], kind: Literal["lines", "flat", "smooth"]
) -> Picture:
    """A map at another size.

    Args:
        pixels: (H, W, 3) uint8.
        size: (width, height) wanted.
        kind: "lines" keeps lines of one pixel, "flat" makes no new colours, "smooth" interpolates.

    Returns:
        (height, width, 3) uint8.
    """
    import cv2

    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    scale = (width * height / (size[0] * size[1])) ** 0.5
    if kind == "smooth":
        # Area when it shrinks: every pixel of the source counts.
        way = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
    if kind == "flat" or (width <= size[0] and height <= size[1]):
        way = cv2.INTER_NEAREST_EXACT
        return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
    lines = pixels.max(2)
    # One direction after the other: in a map that becomes narrower by more than it becomes lower,
    # upright lines thin out by more than level ones.
    for target, factor in (
        ((size[0], height), width / size[0]),
        (size, height / size[1]),
    ):
        if factor <= 1:
            way = cv2.INTER_NEAREST_EXACT
            lines = np.asarray(cv2.resize(lines, target, interpolation=way), np.uint8)
            continue
        covered = cv2.resize(lines.astype(np.float32), target, interpolation=cv2.INTER_AREA)
        # A line of one pixel covers 1 / factor of a cell, or half of that in each of two cells.
        lines = np.where(covered > 254 * 0.5 / factor, 255, 0).astype(np.uint8)
    return np.repeat(np.asarray(lines, np.uint8)[..., None], 3, 2)


def _checked(raw: RawMap) -> Picture:
    pixels = raw.pixels
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(
            f"{raw.name}: a map must have one or three channels of 8 bits (or one of 16), but it "
            f"has the shape {pixels.shape} of {pixels.dtype}"
        )
    if raw.channels == 2 or raw.channels > 4:
        raise ImageError(
            f"{raw.name}: has {raw.channels} channels; a map must be greyscale or RGB: save it so"
        )
    return pixels


def _grey(raw: RawMap, what: str) -> Grey:
    """(H, W) uint8 of a map that must not be in colour."""
    pixels = _checked(raw)
    coloured = _coloured(pixels)
    if coloured > _MOST_COLOURED:
        raise ImageError(
            f"{raw.name}: is in colour ({100 * coloured:.0f} % of it), so not {what}; a "
            f"photograph? Then {_FIND}"
        )
    return np.ascontiguousarray(pixels[..., 1])


def _rgb(grey: Grey) -> Picture:
    return np.repeat(grey[..., None], 3, axis=2)


def _turned(values: Grey, bright: bool, invert: bool) -> tuple[tuple[str, ...], Grey]:
    """White on black, and a note where that was not so."""
    if not (bright or invert):
        return (), values
    return ("black on white, inverted",), 255 - values


def _coloured(pixels: Picture) -> float:
    spread = pixels.max(2).astype(np.int16) - pixels.min(2)
    return float((spread > 24).mean())


def _stray(grey: Grey) -> float:
    """Share of mid-grey pixels that are no blurred border of a line."""
    import cv2

    reach = max(3, min(grey.shape) // 128)
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    middle = (grey >= 64) & (grey < 192)
    border = (cv2.erode(grey, window) < 64) & (cv2.dilate(grey, window) >= 160)
    return float((middle & ~border).mean())


def _small(grey: Grey) -> Grey:
    """With a short side of at most 256 px."""
    import cv2

    scale = min(1.0, 256 / min(grey.shape))
    if scale == 1.0:
        return grey
    return np.asarray(
        cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def _bulk(grey: Grey) -> float:
    import cv2

    soft = _small(np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8), np.uint8))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    broad = cv2.morphologyEx(soft, cv2.MORPH_OPEN, window)
    return float(broad.sum() / max(1, int(soft.sum())))


def _texture(grey: Grey) -> tuple[float, float]:
    """Share of places with texture: in all of the map, and away from its strong edges.

    For the first, most pixels of a place differ from their neighbourhood's mean by over 1.5; for
    the second, three in ten do by over 1.
    """
    import cv2

    small = _small(grey).astype(np.float32)
    detail = np.abs(small - cv2.blur(small, (3, 3)))
    rough = cv2.blur((detail > 1.5).astype(np.float32), (9, 9)) > 0.5
    fine = cv2.blur((detail > 1.0).astype(np.float32), (9, 9)) > 0.3
    window = np.ones((3, 3), np.uint8)
    edges = ((cv2.dilate(small, window) - cv2.erode(small, window)) > 40).astype(np.uint8)
    # JPEG rings through a block of eight pixels.
    away = cv2.dilate(edges, np.ones((17, 17), np.uint8)) == 0
    # Edges everywhere leave too little to judge by, and are a texture themselves unless the map is
    # so small that any outline fills it.
    alone = 1.0 if min(small.shape) >= 64 else 0.0
    return float(rough.mean()), float(fine[away].mean()) if away.mean() >= 0.1 else alone


def _rainbow(pixels: Picture) -> bool:
    """Whether the colours lie along one curve, as those of a colour map do."""
    bins = np.unique((pixels.reshape(-1, 3) >> 4).astype(int) @ np.array([256, 16, 1]))
    # A colour map of 256 steps passes at most some 60 of the 4,096 cells; photographs fill more.
    return len(bins) <= 80


def _few(pixels: Picture) -> bool:
    """Whether there are no more colours than a label map can have."""
    codes = pixels.reshape(-1, 3).astype(np.int64) @ np.array([65536, 256, 1])
    found, areas = np.unique(codes, return_counts=True)
    if (pixels == pixels[..., :1]).all():
        return len(found) <= _EXACT_GREYS and _flat(pixels) >= _EXACT_FLAT
    if len(found) > 172 or _flat(pixels) < _LEAST_FLAT:
        return False
    # JPEG of a simple map has few colours too, but most are a larger one's, a little off.
    colours = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1)
    near = np.abs(colours[:, None] - colours[None]).max(2) <= _OFF
    larger = areas[None] > areas[:, None]
    return bool((near & larger).any(1).mean() < _MOST_OFF)


def _flat(pixels: Picture) -> float:
    """Share of pixels whose neighbourhood of 3 x 3 is of one colour."""
    import cv2

    window = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(pixels, window).astype(np.int16) - cv2.erode(pixels, window)
    return float((spread.max(2) == 0).mean())


def _as_they_are(pixels: Picture) -> tuple[NDArray[np.intp], Picture]:
    """(H, W) labels into the (K, 3) colours that there are."""
    colours, labels = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    return np.asarray(labels.reshape(pixels.shape[:2]), np.intp), np.asarray(colours, np.uint8)


def _region_features(pixels: Picture) -> tuple[float, float, float]:
    """What ``_LEAST_FLAT``, ``_LEAST_CLEAR`` and ``_LEAST_NEAR`` are bounds of."""
    import cv2

    scale = min(1.0, 256 / min(pixels.shape[:2]))
    small = pixels
    if scale < 1.0:
        way = cv2.INTER_NEAREST_EXACT
        small = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way))
    soft = np.asarray(cv2.medianBlur(np.ascontiguousarray(small), 3), np.float32)
    colours = _main_colours(small).astype(np.float32)
    apart = np.linalg.norm(soft.reshape(-1, 1, 3) - colours[None], axis=2)
    apart.sort(axis=1)
    second = apart[:, 1] if apart.shape[1] > 1 else np.full(len(apart), 1e3, np.float32)
    clear = float((apart[:, 0] < 0.25 * second).mean())
    return _flat(small), clear, float((apart[:, 0] < 10).mean())


def _main_colours(pixels: Picture) -> Picture:
    """(K, 3) uint8: the few colours that most of the map is in, the most frequent first."""
    cells = (pixels.reshape(-1, 3) >> 3).astype(int) @ np.array([1024, 32, 1])
    counts = np.bincount(cells, minlength=32768).astype(np.float64)
    used = np.flatnonzero(counts)
    centres = np.stack([used >> 10, (used >> 5) & 31, used & 31], axis=1) * 8 + 4.0
    left = counts[used]
    found: list[NDArray[np.float64]] = []
    while left.sum() > _LEAST_SHARE * len(cells) and len(found) < _MAIN_COLOURS:
        first = int(left.argmax())
        near = np.abs(centres - centres[first]).max(1) <= 8
        weights = left[near]
        found.append((centres[near] * weights[:, None]).sum(0) / weights.sum())
        left[np.linalg.norm(centres - found[-1], axis=1) <= _APART] = 0
        left[first] = 0
    return np.rint(np.stack(found)).astype(np.uint8)


def _nearest_colour(pixels: Picture, colours: Picture) -> NDArray[np.intp]:
    labels = np.empty(pixels.shape[:2], np.intp)
    wanted = colours.astype(np.float32)
    for row, line in enumerate(pixels.astype(np.float32)):
        labels[row] = ((line[:, None] - wanted[None]) ** 2).sum(2).argmin(1)
    return labels
