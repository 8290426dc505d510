"""Pencil sketch: grey lines and light shading on white paper."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    light = px.blur(px.luminance(px.to_unit(photo)), 0.0022)
    # Colour dodge of the picture by its blurred negative leaves the outlines.
    around = px.blur(light, 0.014)
    dodge = np.clip((light + 0.04) / (around + 0.04), 0, 1)
    lines = px.smoothstep(0.52, 0.985, dodge)
    shading = 0.62 + 0.38 * px.smoothstep(0.03, 0.66, px.blur(light, 0.01))
    paper = px.colour(0.975, 0.97, 0.955)
    drawn = 0.12 + 0.88 * lines * shading
    return px.to_photo(drawn[..., None] * paper)


EFFECTS = (
    Effect(
        name="sketch",
        kind="look",
        instructions=(
            "make it a sketch",
            "sketch",
            "turn it into a pencil sketch",
            "pencil sketch",
            "pencil drawing",
            "make it a pencil drawing",
            "draw it",
            "draw this with a pencil",
            "turn it into a drawing",
            "convert the photo to a line drawing",
            "could you sketch this?",
            "as a pencil sketch please",
            "I'd like this drawn in pencil on white paper",
            "make it look hand-drawn",
            "make it a skecth",
            "a graphite drawing",
            "make it look as if it had been drawn with a pencil",
            "redo it as a drawing with grey lines on paper",
        ),
        held_out_instructions=(
            "make this photo into a drawing",
            "please turn this into a sketch",
            "show it as pencil on paper",
            "as though drawn by hand",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
