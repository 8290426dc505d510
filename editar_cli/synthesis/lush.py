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
    growing = growing * (0.12 + 0.88 * px.smoothstep(0.05, 0.18, saturation)) * (1 - sky)
    # The burning orange of an evening sky is no earth.
    growing = growing * (
        1 - px.smoothstep(0.62, 0.8, saturation) * (1 - px.smoothstep(42, 56, hue))
    )
    growing = growing * px.smoothstep(0.02, 0.10, light)
    growing = growing * (1 - px.smoothstep(0.66, 0.90, light))
    turned = 108 - 22 * px.smoothstep(0.15, 0.7, light)
    richer = np.clip(0.50 + 0.45 * saturation, 0, 0.88) * power
    grass = px.from_hsv(turned, richer, np.clip(value * 1.05 + 0.04, 0, 0.9))
    clear = px.saturate(picture, 1.3) * px.colour(0.98, 1.07, 0.92)
    blue = px.mix(clear, light[..., None] * px.colour(0.62, 0.98, 1.38), 0.75 * sky)
    return px.to_photo(px.mix(blue, grass, 0.95 * growing))


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
            "make it look like July",
            "change the season to summer",
            "cover the ground with green grass",
            "more green",
            "let everything grow green and lush",
            "could you make the land look fresh and green?",
            "turn the brown ground green please",
            "I want juicy green meadows",
            "make it luhs and green",
            "summer",
            "a lush summer day",
            "change the season so that everything is green and growing",
        ),
        held_out_instructions=(
            "show it in summer",
            "please make the landscape green",
            "a lush green version of this",
            "let summer come",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
