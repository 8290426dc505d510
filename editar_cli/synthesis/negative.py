"""Negative: every channel inverted."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    return 255 - photo


EFFECTS = (
    Effect(
        name="negative",
        kind="look",
        instructions=(
            "invert the colours",
            "negative",
            "make it a negative",
            "invert",
            "invert it",
            "invert the colors",
            "turn it into a negative",
            "colour negative",
            "photo negative",
            "flip the colours to their opposites",
            "could you invert this image?",
            "make it a film negative please",
            "I'd like to see the negative of this photo",
            "swap light and dark",
            "ivert the colours",
            "inverted colours",
            "replace each colour by its complement",
            "make it look like an undeveloped film strip held to the light",
        ),
        held_out_instructions=(
            "show the negative",
            "please invert all colours",
            "a negative version of the photo",
            "reverse the colors",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
