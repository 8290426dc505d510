"""Teal and orange: the colour grading of action films."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    light = px.luminance(picture)
    warmth = picture[..., 0] - picture[..., 2]
    # Warm things and lights go orange; shadows and all that is cold go teal.
    to_warm = px.smoothstep(-0.12, 0.16, warmth + 0.22 * (light - 0.5))
    teal = light[..., None] * px.colour(0.40, 1.06, 1.22) + px.colour(0.0, 0.02, 0.03)
    orange = light[..., None] * px.colour(1.42, 0.93, 0.50) + px.colour(0.02, 0.0, 0.0)
    graded = px.mix(picture, px.mix(teal, orange, to_warm), 0.78 * power)
    return px.to_photo(px.mix(graded, px.smoothstep(0.0, 1.0, graded), 0.6))


EFFECTS = (
    Effect(
        name="teal_and_orange",
        kind="look",
        instructions=(
            "make it teal and orange",
            "teal and orange",
            "cinematic",
            "make it cinematic",
            "cinematic colours",
            "give it a cinematic grade",
            "Hollywood colours",
            "blockbuster look",
            "color grade it in teal and orange",
            "colour grade it like an action film",
            "could you give it a movie look?",
            "cinematic please",
            "I'd like the colours of a Hollywood blockbuster",
            "film grading",
            "make it cinemtaic",
            "orange lights and teal shadows",
            "push the shadows to teal and the lights to orange",
            "make it look like a frame from an action movie",
        ),
        held_out_instructions=(
            "show it with a teal and orange grade",
            "please make the colours cinematic",
            "a blockbuster version of this",
            "with teal shadows and orange lights",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
