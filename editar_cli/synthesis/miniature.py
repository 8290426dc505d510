"""Miniature: a toy world, sharp in a narrow band and blurred above and below."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    bright = px.saturate(px.mix(picture, px.smoothstep(0.0, 0.95, picture), 0.5), 1.4)
    bright = np.clip(bright * 1.06 + 0.02, 0, 1)
    away = np.abs(px.rows(photo) - 0.58) + 0 * px.luminance(picture)
    some = px.mix(bright, px.blur(bright, 0.012 * power), px.smoothstep(0.06, 0.16, away))
    return px.to_photo(
        px.mix(some, px.blur(bright, 0.032 * power), px.smoothstep(0.14, 0.32, away))
    )


EFFECTS = (
    Effect(
        name="miniature",
        kind="look",
        instructions=(
            "make it a miniature",
            "miniature",
            "tilt-shift",
            "tilt shift",
            "make it look like a toy model",
            "toy world",
            "turn it into a model railway scene",
            "tilt-shift effect",
            "blur the top and bottom",
            "make it look tiny",
            "could you make it look like a miniature model?",
            "a miniature please",
            "I'd like it to look like a toy town",
            "like a scale model",
            "make it a minaiture",
            "a tiny world",
            "keep a narrow band sharp and blur everything above and below",
            "make it look like a little model on a table",
        ),
        held_out_instructions=(
            "show it as a miniature",
            "please add a tilt-shift effect",
            "a toy version of this",
            "as a small-scale model",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
