"""Spring: young green, pink and white blossom, a mild clear sky."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.04)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    hue, saturation, value = px.hue_saturation_value(picture)
    growing = px.smoothstep(32, 52, hue) * (1 - px.smoothstep(165, 190, hue))
    growing = growing * px.smoothstep(0.05, 0.18, saturation) * (1 - sky)
    growing = growing * px.smoothstep(0.02, 0.10, light) * (1 - px.smoothstep(0.72, 0.92, light))
    young = 88 - 18 * px.smoothstep(0.15, 0.7, light)
    fresh = np.clip(0.42 + 0.4 * saturation, 0, 0.8)
    meadow = px.from_hsv(young, fresh, np.clip(value * 1.22 + 0.10, 0, 0.97))
    mild = px.mix(picture, np.ones_like(picture), 0.14) * px.colour(1.03, 1.0, 1.0) * power
    clear = 0.62 + 0.38 * px.blur(light, 0.006)[..., None] * px.colour(0.72, 0.92, 1.15)
    heaven = px.mix(mild, clear * px.colour(0.80, 0.94, 1.06), 0.7)
    scene = px.mix(mild, heaven, sky)
    scene = px.mix(scene, meadow, 0.88 * growing)
    # Blossom stands in small clumps, thickest where leaves catch the light.
    clumps = 0.7 * px.noise(photo, rng, cell=0.014)[..., 0] + 1.2 * px.local_detail(light, 0.02)
    bloom = px.smoothstep(0.15, 0.9, clumps) * growing
    petals = px.mix(
        px.colour(0.98, 0.60, 0.75), px.colour(1.0, 0.84, 0.90), px.smoothstep(0.15, 0.6, light)
    )
    return px.to_photo(px.mix(scene, petals, 0.85 * bloom))


EFFECTS = (
    Effect(
        name="spring",
        kind="look",
        instructions=(
            "make it spring",
            "spring",
            "turn it into spring",
            "change the season to spring",
            "add blossom",
            "blossoming trees",
            "make everything bloom",
            "cover it with spring flowers",
            "cherry blossom everywhere",
            "fresh spring green and pink blossom",
            "could you make it look like April?",
            "spring blossom please",
            "I'd like this place in full bloom",
            "a lovely spring day",
            "make it sprnig",
            "let the trees be in flower",
            "flowers all over the meadow",
            "change the season so that everything is in blossom",
        ),
        held_out_instructions=(
            "show it in spring",
            "please let spring come",
            "a blooming version of this",
            "with blossom on the trees",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
