"""Drought: green turns to straw, the air is hot and dusty."""

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
    leaf = px.smoothstep(34, 58, hue) * (1 - px.smoothstep(170, 200, hue))
    leaf = leaf * px.smoothstep(0.05, 0.16, saturation) * (1 - sky)
    straw = px.from_hsv(
        np.full_like(hue, 39), np.clip(0.28 + 0.45 * saturation, 0, 0.62), value * 1.22 + 0.10
    )
    parched = px.saturate(picture, 0.5) * px.colour(1.20, 1.0, 0.66) + px.colour(0.06, 0.03, 0.0)
    ground = px.mix(parched, straw, 0.92 * leaf) * power
    pale = px.mix(picture, np.broadcast_to(px.colour(0.93, 0.87, 0.72), picture.shape), 0.72)
    scene = px.mix(ground, pale, sky)
    far = 1 - px.smoothstep(px.horizon(sky), 1.0, px.rows(photo) + 0 * light)
    return px.to_photo(px.mix(scene, px.colour(0.88, 0.76, 0.56), 0.22 * far * (1 - sky)))


EFFECTS = (
    Effect(
        name="drought",
        kind="look",
        instructions=(
            "make it a desert",
            "drought",
            "dry it out",
            "make everything dry",
            "turn the grass to straw",
            "turn it into a drought",
            "parched land",
            "make it look parched",
            "dry brown grass everywhere",
            "make the land arid",
            "could you make it look like after a drought?",
            "dry and dusty please",
            "I want the green to be withered and yellow",
            "let the plants wither",
            "make it arrid",
            "scorched",
            "take all the green out of the plants, as after months without rain",
            "a hot dry summer without a drop of rain",
        ),
        held_out_instructions=(
            "show it in a drought",
            "please make the landscape arid",
            "a parched version of this",
            "let everything dry up",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
