"""Rain: a heavy grey sky, cold dim light, wet shining ground and falling streaks."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    start = px.horizon(sky)
    height = px.rows(photo) + 0 * light
    broad = px.blur(light, 0.1)
    dim = px.saturate(picture, 0.42) * px.colour(0.56, 0.62, 0.69) * power
    # Wet surfaces are darker with harder highlights; ground facing the sky mirrors it.
    gloss = np.clip(light - px.blur(light, 0.03), 0, 1)
    wet = dim + (0.35 * gloss)[..., None] + 0.02
    mirror = px.smoothstep(start + 0.1, 1.1, height) * px.smoothstep(0.2, 0.7, broad)
    ground = wet + (0.10 * mirror)[..., None] * px.colour(0.85, 1.0, 1.15)
    clouds = 0.50 + 0.42 * (px.blur(light, 0.02) - broad) + 0.10 * (broad - 0.6)
    clouds = clouds - 0.12 * (1 - px.smoothstep(0.0, start, height))
    heavy_sky = clouds[..., None] * px.colour(0.93, 1.0, 1.08)
    scene = px.mix(ground, heavy_sky, 0.94 * sky)
    far = 1 - px.smoothstep(start, 1.0, height)
    scene = px.mix(scene, px.colour(0.47, 0.52, 0.57), 0.12 + 0.2 * far * (1 - sky))
    fine = px.streaks(
        photo,
        rng,
        count=230,
        length=(0.06, 0.15),
        thickness=0.0042,
        slant=-0.16,
        strength=(0.16, 0.5),
    )
    return px.to_photo(px.mix(scene, px.colour(0.86, 0.91, 0.97), fine))


EFFECTS = (
    Effect(
        name="rain",
        kind="look",
        instructions=(
            "make it rain",
            "rain",
            "add rain",
            "make it rainy",
            "rainy weather",
            "turn it into a rainy day",
            "change the weather to rain",
            "make it look like it is pouring",
            "it should be raining heavily",
            "add falling rain and grey clouds please",
            "could you make this a wet and rainy scene?",
            "I want a gloomy rainy day",
            "put some rain in the picture",
            "a downpour",
            "make the wether rainy",
            "make it look wet with rain coming down",
            "let it pour down with rain, and make the sky dull",
            "as if I had taken this in the rain",
        ),
        held_out_instructions=(
            "show the scene in the rain",
            "please make it a rainy afternoon",
            "add heavy rainfall",
            "let there be rain",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
