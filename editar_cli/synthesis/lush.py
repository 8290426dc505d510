"""Lush: high summer, dry and brown ground turns fresh green, the sky clear blue."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    hue, saturation, value = px.hue_saturation_value(picture)
    # Earth, straw, olive and leaf: everything from orange to green. Greys count a little.
    growing = px.smoothstep(14, 34, hue) * (1 - px.smoothstep(165, 190, hue))
    growing = growing * (0.25 + 0.75 * px.smoothstep(0.04, 0.16, saturation)) * (1 - sky)
    growing = growing * px.smoothstep(0.02, 0.10, light)
    growing = growing * (1 - px.smoothstep(0.60, 0.84, light))
    turned = 108 - 22 * px.smoothstep(0.15, 0.7, light)
    richer = np.clip(0.40 + 0.46 * saturation, 0, 0.82) * power
    grass = px.from_hsv(turned, richer, np.clip(value * 1.05 + 0.04, 0, 0.9))
    clear = px.saturate(picture, 1.25) * 1.04
    blue = px.mix(clear, clear * px.colour(0.74, 0.95, 1.12), sky)
    return px.to_photo(px.mix(blue, grass, 0.9 * growing))


EFFECTS = (
    Effect(
        name="lush",
        kind="look",
        instructions=(
            "make it greener",
            "greener",
            "make it lush",
            "make it lush and green",
            "turn it into summer",
            "make it summer",
            "make it spring",
            "change the season to spring",
            "cover the ground with green grass",
            "more green",
            "let everything grow green and lush",
            "could you make the land look fresh and green?",
            "turn the brown ground green please",
            "I want juicy green meadows",
            "make it luhs and green",
            "summer",
            "a lush spring day",
            "change the season so that everything is green and growing",
        ),
        held_out_instructions=(
            "show it in summer",
            "please make the landscape green",
            "a lush green version of this",
            "let spring come",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
