"""Pixelate: a mosaic of square blocks."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_BLOCKS = 20
"""Along the short side."""


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    height, width = photo.shape[:2]
    scale = _BLOCKS / min(height, width)
    tall, wide = (max(1, min(n, round(n * scale))) for n in (height, width))
    small = px.resize(px.to_unit(photo), tall, wide).reshape(tall, wide, 3)
    down = np.arange(height) * tall // height
    across = np.arange(width) * wide // width
    return px.to_photo(small[down][:, across])


EFFECTS = (
    Effect(
        name="pixelate",
        kind="look",
        instructions=(
            "pixelate it",
            "pixelate",
            "pixelated",
            "make it pixelated",
            "turn it into pixel art",
            "pixel art",
            "mosaic",
            "make it a mosaic",
            "make it look like an old video game",
            "8-bit style",
            "could you pixelate this?",
            "pixel art please",
            "I'd like this in big square pixels",
            "big pixels",
            "pixleate it",
            "break it up into blocks",
            "show it in a few large square blocks of colour",
            "like a picture on a very old computer screen",
        ),
        held_out_instructions=(
            "make this picture pixelated",
            "please turn it into large pixels",
            "an 8-bit version of this",
            "as a mosaic of squares",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
