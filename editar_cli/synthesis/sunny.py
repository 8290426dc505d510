"""Sunny: a deep blue sky and bright warm light."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    height = np.clip(px.rows(photo) / max(px.horizon(sky), 0.2), 0, 1)
    blue = px.mix(
        np.broadcast_to(px.colour(0.14, 0.42, 0.86), picture.shape),
        px.colour(0.62, 0.83, 0.98),
        height + 0 * light,
    )
    own = px.blur(light, 0.005) - px.blur(light, 0.15)
    white = px.smoothstep(0.02, 0.16, own + 0.04 * px.clouds(photo, rng))
    heaven = px.mix(blue, np.broadcast_to(px.colour(0.98, 0.99, 1.0), blue.shape), 0.85 * white)
    # Lift to the brightness of noon whatever the weather was, then add the sun's warmth.
    typical = float(np.clip(np.median(light[sky < 0.5]) if (sky < 0.5).any() else 0.4, 0.12, 0.8))
    gamma = np.float32(np.clip(np.log(0.46) / np.log(typical), 0.5, 1.0))
    lit = np.clip(picture, 0, 1) ** gamma
    lit = px.mix(lit, px.smoothstep(0.0, 0.95, lit), 0.6)
    lit = px.saturate(lit, 1.45) * px.colour(1.10, 1.03, 0.86) * power
    return px.to_photo(px.mix(lit, heaven, 0.93 * sky))


EFFECTS = (
    Effect(
        name="sunny",
        kind="look",
        instructions=(
            "make it sunny",
            "sunny",
            "sunshine",
            "add sunshine",
            "a sunny day",
            "clear blue sky",
            "make the weather nice",
            "turn it into a bright sunny day",
            "let the sun shine",
            "give it a clear blue sky",
            "could you make it a sunny day?",
            "bright sunshine please",
            "I'd like beautiful weather with a blue sky",
            "midday sun",
            "make it snuny",
            "good weather",
            "take the clouds away and let the sun come out",
            "change the weather to bright sunshine under a blue sky",
        ),
        held_out_instructions=(
            "show it in bright sunshine",
            "please make the weather sunny",
            "a sunny version of this",
            "let there be sun and a blue sky",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
