"""Snow: lies on ground, plants and ledges under a cold overcast sky, and falls a little."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    depth = px.vary(rng, 0.05)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    soft = px.blur(light, 0.012)
    broad = px.blur(light, 0.12)
    detail = px.local_detail(light, 0.035)
    # Brighter than what lies just beneath it: a surface that looks upward, where snow stays.
    fall = max(1, round(0.02 * px.short_side(photo)))
    beneath = np.concatenate([soft[fall:], np.repeat(soft[-1:], fall, axis=0)])[: soft.shape[0]]
    upward = np.clip((soft - beneath) * 5, -0.6, 0.6)
    level_ground = px.smoothstep(px.horizon(sky), 1.0, px.rows(photo) + 0 * light)
    cover = px.smoothstep(-1.5, 0.35, detail + upward + 0.35 * level_ground)
    cover *= 0.25 + 0.75 * px.smoothstep(0.02, 0.14, soft)
    shade = np.clip(1.1 * (soft - broad) + 0.35 * (light - soft) + 0.12 * (broad - 0.5), -0.4, 0.2)
    white = 0.86 * depth + shade
    snow = white[..., None] * px.colour(0.965, 1.0, 1.045) + px.colour(0.005, 0.01, 0.03)
    bare = px.saturate(picture, 0.35) * px.colour(0.74, 0.79, 0.88) + 0.05
    ground = px.mix(bare, snow, 0.93 * cover)
    overcast = 0.74 + 0.22 * (soft - 0.65) + 0.06 * (1 - px.rows(photo))
    cold_sky = overcast[..., None] * px.colour(0.97, 1.0, 1.04)
    scene = px.mix(ground, cold_sky, 0.92 * sky)
    scene = px.mix(scene, px.colour(0.86, 0.89, 0.93), 0.07)
    flakes = px.dots(photo, rng, count=170, radius=(0.0018, 0.0065), strength=(0.45, 0.95))
    return px.to_photo(px.mix(scene, px.colour(1.0, 1.0, 1.0), flakes))


EFFECTS = (
    Effect(
        name="snow",
        kind="look",
        instructions=(
            "make it snowy",
            "snow",
            "add snow",
            "make it snow",
            "turn it into a snowy scene",
            "cover everything in snow",
            "cover the ground with snow please",
            "it should look like winter with snow everywhere",
            "could you make it look like it has just snowed?",
            "change the weather to snow",
            "make it a winter landscape",
            "put a thick layer of snow over the whole scene",
            "I'd like this to look like a cold snowy day",
            "winter",
            "snowy weather",
            "let it snow",
            "make it snwoy",
            "what would this place look like in the middle of winter after heavy snowfall",
            "give this photo a blanket of fresh white snow",
            "turn summer into winter",
        ),
        held_out_instructions=(
            "make the scene snow-covered",
            "please add some snow to this picture",
            "show it in deep winter",
            "transform the photo so that snow is falling and lying on the ground",
            "a snowy version of this",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
