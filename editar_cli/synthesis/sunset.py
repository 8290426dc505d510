"""Sunset: the sky glows from the horizon up, the ground lies in low golden light."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_SKY = (
    (0.00, (0.30, 0.27, 0.47)),
    (0.40, (0.62, 0.36, 0.47)),
    (0.72, (0.95, 0.50, 0.28)),
    (1.00, (1.00, 0.76, 0.36)),
)
"""Colours of the sky from the top (0) to the horizon (1)."""


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    start = px.horizon(sky)
    climb = np.clip(px.rows(photo) / max(start, 0.25), 0, 1)
    stops = np.array([stop for stop, _ in _SKY], np.float32)
    tones = np.array([tone for _, tone in _SKY], np.float32)
    gradient = np.stack([np.interp(climb, stops, tones[:, c]) for c in range(3)], axis=-1)
    clouds = px.blur(light, 0.008) - px.blur(light, 0.2)
    glowing = gradient.astype(np.float32) * (1 + 0.9 * clouds[..., None]) * power
    height = px.rows(photo) + 0 * light
    low_light = px.mix(
        np.broadcast_to(px.colour(1.12, 0.70, 0.40), picture.shape),
        px.colour(0.80, 0.50, 0.36),
        px.smoothstep(start, 1.0, height),
    )
    toned = px.mix(px.saturate(picture, 0.55), picture, 0.35)
    contrast = np.clip(toned, 0, 1) ** np.float32(1.12)
    ground = contrast * low_light * power + px.colour(0.05, 0.015, 0.03)
    scene = px.mix(ground, glowing, 0.93 * sky)
    near_horizon = np.exp(-(((height - start) / 0.16) ** 2)) * (0.35 + 0.65 * sky)
    scene = scene + (0.13 * near_horizon)[..., None] * px.colour(1.0, 0.55, 0.15)
    return px.to_photo(scene)


EFFECTS = (
    Effect(
        name="sunset",
        kind="look",
        instructions=(
            "make it sunset",
            "sunset",
            "turn it into a sunset",
            "make the sun set",
            "a red evening sky",
            "change the time of day to sunset",
            "add a sunset sky",
            "make it look like the sun is going down",
            "give it an orange sunset glow",
            "could you make it look like evening at sunset?",
            "at dusk with an orange sky please",
            "I'd love a glowing red and orange sky here",
            "set it at sundown",
            "make the sky glow orange and pink",
            "make it sunest",
            "evening light",
            "let the sun set behind the scene, with a burning sky",
            "light it like the last minutes before the sun goes down",
        ),
        held_out_instructions=(
            "show it at sunset",
            "please let the sky burn in orange and red",
            "turn the sky into a beautiful sunset",
            "as the sun sets",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
