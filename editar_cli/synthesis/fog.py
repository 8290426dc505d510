"""Fog: the farther, the paler, after Koschmieder's law of visibility."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    density = 2.5 * px.vary(rng, 0.06)
    sky = px.sky_weight(picture)
    start = px.horizon(sky)
    # On level ground the distance grows towards the horizon, which each column has its own of.
    skyline = px.blur(np.repeat(sky.mean(axis=0, keepdims=True), 8, axis=0), 0.6)[:1]
    start_here = np.clip(0.5 * skyline + 0.5 * start, 0.05, 0.85)
    near = np.clip((px.rows(photo) - start_here) / (1.02 - start_here), 0, 1)
    distance = np.maximum(1 - near**0.8, sky)
    clear = np.exp(-np.float32(density) * (0.15 + 0.85 * distance))
    hazy = px.mix(picture, px.blur(picture, 0.012), 0.75 * distance)
    hazy = px.saturate(hazy, 0.7)
    air = px.colour(0.80, 0.825, 0.845) + 0.03 * (0.5 - px.rows(photo))[..., None]
    return px.to_photo(px.mix(np.broadcast_to(air, picture.shape), hazy, clear))


EFFECTS = (
    Effect(
        name="fog",
        kind="look",
        instructions=(
            "make it foggy",
            "fog",
            "add fog",
            "make it misty",
            "foggy weather",
            "fill the scene with fog",
            "add thick mist",
            "turn it into a foggy morning",
            "change the weather to fog",
            "cover the background in mist please",
            "could you add some fog?",
            "make it look hazy and misty",
            "I want dense fog rolling over the scene",
            "let the distance disappear in the fog",
            "a misty day",
            "make it fogy",
            "shroud it in haze",
            "make it look like early morning with a lot of mist hanging in the air",
        ),
        held_out_instructions=(
            "show it on a foggy day",
            "please put some mist in the picture",
            "wrap everything in fog",
            "a foggy version of this photo",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
