"""Golden hour: the sun stands low, everything lies in warm light under a pale gold sky."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_SKY = (
    (0.00, (0.78, 0.74, 0.66)),
    (0.55, (0.97, 0.82, 0.55)),
    (1.00, (1.00, 0.89, 0.58)),
)
"""Colours of the sky from the top (0) to the horizon (1)."""


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    side = 0.22 if rng.random() < 0.5 else 0.78
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    start = px.horizon(sky)
    climb = np.clip(px.rows(photo) / max(start, 0.2), 0, 1) + 0 * light
    forms = px.blur(light, 0.008) - px.blur(light, 0.2)
    heaven = px.toned(climb, _SKY) * (1 + 0.6 * forms[..., None])
    # Lights turn gold and shadows brown; what faces the sun gets more of it.
    gold = px.colour(1.30, 0.98, 0.50) * picture
    brown = px.colour(1.02, 0.80, 0.62) * picture + px.colour(0.03, 0.015, 0.0)
    ground = px.mix(brown, gold, px.smoothstep(0.1, 0.6, light)) * power
    ground = px.mix(ground, px.smoothstep(-0.03, 1.0, ground), 0.35)
    scene = px.mix(ground, heaven, 0.72 * sky)
    reach = ((px.columns(photo) - side) / 0.5) ** 2 + ((px.rows(photo) - start) / 0.33) ** 2
    glow = np.exp(-reach) * 0.42
    flare = px.colour(1.0, 0.80, 0.42)
    return px.to_photo(1 - (1 - np.clip(scene, 0, 1)) * (1 - glow[..., None] * flare))


EFFECTS = (
    Effect(
        name="golden_hour",
        kind="look",
        instructions=(
            "golden hour",
            "make it golden hour",
            "golden light",
            "bathe it in golden light",
            "warm golden sunlight",
            "give it golden hour light",
            "make it look like the hour before sunset",
            "low golden sun",
            "add a golden glow",
            "put the sun low in the sky",
            "could you light it with a low warm sun?",
            "golden evening sunlight please",
            "I'd love warm golden light over the whole scene",
            "light it like late afternoon",
            "make it goldne hour",
            "honey-coloured light",
            "let a low sun shine into the picture",
            "as if I had taken it late on a summer afternoon",
        ),
        held_out_instructions=(
            "show it in golden light",
            "please make it look like golden hour",
            "late afternoon sun",
            "let golden sunshine flood the scene",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
