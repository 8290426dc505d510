"""Black and white with the contrast of a good print."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    light = px.luminance(px.to_unit(photo))
    printed = px.mix(light, px.smoothstep(0.0, 1.0, light), 0.45)
    return px.to_photo(np.repeat(printed[..., None], 3, axis=2))


EFFECTS = (
    Effect(
        name="black_and_white",
        kind="look",
        instructions=(
            "make it black and white",
            "black and white",
            "convert to black and white",
            "turn it black & white",
            "greyscale",
            "grayscale",
            "make it grayscale",
            "convert the photo to greyscale",
            "remove all the colour",
            "remove the colors",
            "make it monochrome",
            "turn it into a black-and-white photograph please",
            "could you make this a b&w photo?",
            "b&w",
            "take the colour out of the picture",
            "desaturate it completely",
            "make it balck and white",
            "I want a classic black and white print of this",
        ),
        held_out_instructions=(
            "make this photo monochrome",
            "please turn this to grayscale",
            "a black and white version",
            "strip out all colours",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
