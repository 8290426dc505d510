"""Neon: a dark city of magenta and cyan light."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_TUBES = (
    (0.00, (0.03, 0.01, 0.10)),
    (0.30, (0.13, 0.12, 0.50)),
    (0.55, (0.85, 0.12, 0.72)),
    (0.80, (0.35, 0.80, 1.00)),
    (1.00, (0.92, 1.00, 1.00)),
)


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    picture = px.to_unit(photo)
    light = px.luminance(picture)
    dark = px.mix(light, px.smoothstep(0.02, 1.0, light), 0.8)
    lit = px.mix(px.toned(dark, _TUBES), px.saturate(picture, 1.3), 0.14)
    halo = px.blur(np.clip(lit - 0.45, 0, 1), 0.02)
    return px.to_photo(1 - (1 - np.clip(lit, 0, 1)) * (1 - np.clip(0.8 * halo, 0, 1)))


EFFECTS = (
    Effect(
        name="neon",
        kind="look",
        instructions=(
            "make it neon",
            "neon",
            "cyberpunk",
            "make it cyberpunk",
            "neon lights",
            "light it in neon",
            "magenta and cyan neon",
            "synthwave",
            "turn it into a cyberpunk scene",
            "neon colours",
            "could you make it look like Blade Runner?",
            "cyberpunk please",
            "I'd like glowing magenta and cyan everywhere",
            "vaporwave",
            "make it cyebrpunk",
            "an eighties neon look",
            "light the scene with pink and turquoise neon tubes",
            "make it look like a city of the future at night",
        ),
        held_out_instructions=(
            "show it in neon light",
            "please make it look cyberpunk",
            "a synthwave version of this",
            "with glowing neon colours",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
