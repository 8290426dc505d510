"""Night: dim blue light, a dark sky with a few stars, and lamps where small bright spots are."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    start = px.horizon(sky)
    height = px.rows(photo) + 0 * light
    # The dark-adapted eye sees little colour and more of the blue (Purkinje).
    scotopic = picture @ np.array([0.12, 0.48, 0.40], np.float32)
    dim = px.mix(picture, np.repeat(scotopic[..., None], 3, axis=2), 0.72)
    dim = np.maximum(dim, 0) ** np.float32(1.25)
    ground = dim * px.colour(0.25, 0.345, 0.60) * power + px.colour(0.008, 0.014, 0.04)
    glow = px.smoothstep(0.0, start + 0.02, height)
    dark = px.mix(
        np.broadcast_to(px.colour(0.012, 0.025, 0.085), picture.shape),
        px.colour(0.06, 0.10, 0.24),
        glow,
    )
    clouds = px.blur(light, 0.015) - px.blur(light, 0.15)
    dark = dark * (1 + 1.1 * clouds[..., None])
    scene = px.mix(ground, dark, 0.96 * sky)
    # Not along the skyline, where bright rims of sky are left over.
    below = 1 - px.smoothstep(0.01, 0.08, px.blur(sky, 0.03))
    lamps = _lamps(picture, light) * below
    halo = px.blur(lamps, 0.012) * 1.3 + px.blur(lamps, 0.04) * 0.9
    warm = px.colour(1.0, 0.80, 0.46)
    scene = px.mix(scene, picture * 0.5 + 0.5 * warm, np.clip(0.9 * lamps, 0, 1))
    scene = scene + np.clip(halo, 0, 0.8)[..., None] * px.colour(0.95, 0.62, 0.26)
    stars = px.dots(photo, rng, count=110, radius=(0.0009, 0.0028), strength=(0.25, 0.95))
    stars = stars * sky * (1 - 0.8 * px.smoothstep(0.4 * start, start, height))
    return px.to_photo(scene + 0.8 * stars[..., None])


def _lamps(picture: px.Array, light: px.Array) -> px.Array:
    """Small spots far brighter than a dim neighbourhood and not blue, HW in [0, 1]."""
    around = px.blur(light, 0.05)
    spot = px.smoothstep(0.22, 0.40, light - around) * px.smoothstep(0.72, 0.92, light)
    dim_place = 1 - px.smoothstep(0.42, 0.58, around)
    warm = px.smoothstep(-0.06, 0.02, picture[..., 0] - picture[..., 2])
    return spot * dim_place * warm


EFFECTS = (
    Effect(
        name="night",
        kind="look",
        instructions=(
            "make it night",
            "night",
            "turn it into night",
            "make it nighttime",
            "change day to night",
            "set the scene at night",
            "make it look like it was taken at night",
            "at night please",
            "turn the day into night, with a dark sky",
            "could you show this at midnight?",
            "night time with a dark blue sky",
            "I want a starry night",
            "make the sky dark and full of stars",
            "it should be late at night",
            "midnight",
            "make it nigth",
            "as it would look by moonlight",
            "let the sun be long gone, only moonlight and a few lights left",
        ),
        held_out_instructions=(
            "show it at night-time",
            "please change the time of day to night",
            "make this a night scene",
            "in the dead of night",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
