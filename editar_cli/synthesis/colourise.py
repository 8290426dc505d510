"""Colourise: a black-and-white picture in natural colours."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    light = px.luminance(px.to_unit(photo))
    curve = 0.6 * float(rng.random())
    grey = px.mix(light, px.smoothstep(0.0, 1.0, light), curve)
    return px.to_photo(np.repeat(grey[..., None], 3, axis=2))


EFFECTS = (
    Effect(
        name="colourise",
        kind="restoration",
        instructions=(
            "colourise it",
            "colourise",
            "colorize",
            "colorize it",
            "colourise the photo",
            "colorize this black and white photo",
            "add colour",
            "add natural colours",
            "add color to this photo",
            "turn the black and white photo into a colour photo",
            "bring back the colours",
            "put colour into it please",
            "could you colourise this old picture?",
            "give it natural colours",
            "I'd like to see this in colour",
            "make it a colour photograph",
            "clolourise it",
            "show what it looked like in real colours",
        ),
        held_out_instructions=(
            "please colorize this picture",
            "put natural colours into this photo",
            "a colour version of this black and white picture",
            "let it have colour again",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
