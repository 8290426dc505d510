"""Blur: out of focus."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    return px.to_photo(px.blur(px.to_unit(photo), 0.026 * px.vary(rng, 0.06)))


EFFECTS = (
    Effect(
        name="blur",
        kind="look",
        instructions=(
            "blur it",
            "blur",
            "make it blurry",
            "blur the photo",
            "blur the image",
            "add blur",
            "apply a gaussian blur",
            "make it out of focus",
            "put the picture out of focus",
            "soften it a lot",
            "could you blur this?",
            "blur everything please",
            "I want it completely unsharp",
            "make it look defocused",
            "make it blury",
            "blurred",
            "as if seen through frosted glass",
            "make it so blurry that no detail can be made out",
        ),
        held_out_instructions=(
            "blur this picture",
            "please make it unfocused",
            "a blurry version",
            "give the image a strong blur",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
