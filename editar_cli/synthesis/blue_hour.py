"""Blue hour: after sunset, deep blue light with a last glow at the horizon."""

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
    height = np.clip(px.rows(photo) / max(start, 0.2), 0, 1) + 0 * light
    forms = px.blur(light, 0.01) - px.blur(light, 0.15)
    dusk = px.toned(
        height,
        (
            (0.0, (0.10, 0.17, 0.46)),
            (0.75, (0.24, 0.36, 0.70)),
            (0.95, (0.46, 0.50, 0.78)),
            (1.0, (0.72, 0.62, 0.74)),
        ),
    ) * (1 + 0.9 * forms[..., None])
    blue = px.saturate(picture, 0.35) * px.colour(0.34, 0.47, 0.76) * power
    ground = px.mix(blue, px.smoothstep(0.0, 0.9, blue), 0.3) + px.colour(0.015, 0.03, 0.09)
    return px.to_photo(px.mix(ground, dusk, 0.95 * sky))


EFFECTS = (
    Effect(
        name="blue_hour",
        kind="look",
        instructions=(
            "blue hour",
            "make it blue hour",
            "twilight",
            "make it twilight",
            "blue dusk",
            "turn it into twilight",
            "just after sunset in blue light",
            "deep blue evening light",
            "give it the light of the blue hour",
            "make it late dusk",
            "could you make it look like twilight?",
            "the blue hour please",
            "I'd like the deep blue of the last light",
            "dusk",
            "make it twiligth",
            "early nightfall",
            "let the day fade into blue twilight",
            "as if I had taken it half an hour after sunset",
        ),
        held_out_instructions=(
            "show it at twilight",
            "please make it the blue hour",
            "in the last blue light of the day",
            "let dusk fall",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
