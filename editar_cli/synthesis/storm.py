"""Storm: heavy dark clouds, the ground in hard cold light."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    height = px.rows(photo) / max(px.horizon(sky), 0.2)
    own = px.blur(light, 0.006) - px.blur(light, 0.12)
    heaped = 0.30 + 0.09 * px.clouds(photo, rng) + 1.2 * own + 0.16 * np.clip(height - 0.55, 0, 1)
    towering = np.clip(heaped, 0.07, 0.8)[..., None] * px.colour(0.84, 0.97, 1.12)
    hard = px.saturate(picture, 0.55)
    hard = px.mix(hard, px.smoothstep(0.05, 0.95, hard), 0.7) * px.colour(0.60, 0.67, 0.70) * power
    scene = px.mix(hard, towering, 0.95 * sky)
    return px.to_photo(scene + px.colour(0.0, 0.006, 0.016))


EFFECTS = (
    Effect(
        name="storm",
        kind="look",
        instructions=(
            "make it stormy",
            "storm",
            "stormy weather",
            "add storm clouds",
            "dark storm clouds",
            "a storm is coming",
            "make the sky threatening",
            "dramatic sky",
            "give it a dramatic dark sky",
            "turn it into a thunderstorm",
            "could you put heavy black clouds in the sky?",
            "stormy and dark please",
            "I want a brooding, dramatic storm",
            "before the storm",
            "make it strmy",
            "moody dark weather",
            "let a thunderstorm gather over the scene",
            "change the weather so that a big storm is about to break",
        ),
        held_out_instructions=(
            "show it in stormy weather",
            "please add dark threatening clouds",
            "a dramatic thunderstorm",
            "let a storm come up",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
