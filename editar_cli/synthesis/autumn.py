"""Autumn: leaves and grass turn orange and red, the light turns mellow."""

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
    # From yellow-olive to blue-green, with enough colour to have a hue at all.
    leaf = px.smoothstep(34, 58, hue) * (1 - px.smoothstep(165, 190, hue))
    leaf = leaf * px.smoothstep(0.06, 0.18, saturation) * (1 - sky)
    leaf = leaf * px.smoothstep(0.02, 0.10, light)
    # Deep greens turn red, light ones golden.
    turned = 8 + 34 * px.smoothstep(0.08, 0.62, light) + 0.05 * (hue - 100)
    richer = np.clip(0.42 + 0.75 * saturation, 0, 0.95) * power
    leaves = px.from_hsv(turned, richer, np.clip(value * 1.28 + 0.07, 0, 1))
    mellow = px.saturate(picture, 0.9) * px.colour(1.13, 0.96, 0.72) + px.colour(0.03, 0.01, 0.0)
    return px.to_photo(px.mix(mellow, leaves, leaf))


EFFECTS = (
    Effect(
        name="autumn",
        kind="look",
        instructions=(
            "make it autumn",
            "autumn",
            "make it fall",
            "turn it into autumn",
            "change the season to autumn",
            "make it look like fall",
            "autumn colours",
            "fall colors",
            "turn the leaves orange and red",
            "give the trees autumn leaves",
            "fall foliage",
            "could you make it look like October?",
            "make the green leaves orange please",
            "I want golden autumn colours",
            "make it auttumn",
            "turn the greenery to reds and golds",
            "an autumn day",
            "change the season so that all the leaves have turned",
        ),
        held_out_instructions=(
            "show it in autumn",
            "please make the season fall",
            "an autumnal version of the photo",
            "let the foliage turn red and gold",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
