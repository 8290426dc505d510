"""Overcast: a closed white-grey sky and flat light without shadows."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    own = px.blur(light, 0.012) - px.blur(light, 0.2)
    lid = 0.77 + 0.05 * px.clouds(photo, rng) + 0.25 * own
    grey_sky = lid[..., None] * px.colour(0.985, 1.0, 1.025)
    # Without a sun the large lights and shades even out.
    even = light + 0.5 * (0.42 - px.blur(light, 0.08))
    flat = px.saturate(picture, 0.45) + (0.8 * (even - light))[..., None]
    dull = (0.09 + 0.86 * flat) * px.colour(0.95, 0.98, 1.0) * power
    return px.to_photo(px.mix(dull, grey_sky, 0.95 * sky))


EFFECTS = (
    Effect(
        name="overcast",
        kind="look",
        instructions=(
            "make it overcast",
            "overcast",
            "cloudy",
            "make it cloudy",
            "grey sky",
            "cover the sky with clouds",
            "a gray cloudy day",
            "make the sky grey and closed",
            "make it a dull day",
            "take the sun away",
            "could you make it a cloudy day?",
            "overcast please",
            "I'd like flat light under a grey sky",
            "no sun, only clouds",
            "make it ovecast",
            "dull weather",
            "let clouds cover the whole sky",
            "change the weather so that the sun is hidden behind clouds",
        ),
        held_out_instructions=(
            "show it under an overcast sky",
            "please make it a grey day",
            "a cloudy version of this",
            "let the sky cloud over",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
