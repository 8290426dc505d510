"""Pop art: four poster inks, navy, magenta, orange and cream, by tone."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_INKS = ((0.09, 0.06, 0.36), (0.86, 0.10, 0.48), (1.00, 0.58, 0.10), (1.00, 0.95, 0.62))
"""From the darkest tone to the lightest."""

_BORDERS = (0.22, 0.45, 0.70)
"""Luma at which one ink gives way to the next."""


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    light = px.luminance(px.kuwahara(px.to_unit(photo), 0.010))
    printed = np.broadcast_to(px.colour(*_INKS[0]), photo.shape).astype(np.float32)
    for border, ink in zip(_BORDERS, _INKS[1:], strict=True):
        printed = px.mix(
            printed, px.colour(*ink), px.smoothstep(border - 0.03, border + 0.03, light)
        )
    return px.to_photo(printed)


EFFECTS = (
    Effect(
        name="pop_art",
        kind="look",
        instructions=(
            "make it pop art",
            "pop art",
            "turn it into pop art",
            "pop art style",
            "make it a pop art poster",
            "screen print",
            "make it a screen print",
            "posterise it in loud colours",
            "turn it into a Warhol",
            "make it look like a sixties poster",
            "could you make this into pop art?",
            "pop art colours please",
            "I'd like this as a loud silkscreen print",
            "print it in magenta, orange and navy",
            "make it pop atr",
            "a psychedelic poster",
            "redo it with four loud inks",
            "make it look like one of those Andy Warhol prints",
        ),
        held_out_instructions=(
            "show it as pop art",
            "please make a pop-art print of this",
            "a Warhol version of the photo",
            "as a loud silkscreen poster",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
