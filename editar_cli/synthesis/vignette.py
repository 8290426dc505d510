"""Vignette: the corners fall into the dark."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    across, down = px.columns(photo) - 0.5, px.rows(photo) - 0.5
    away = np.sqrt(across**2 + down**2) / np.float32(np.sqrt(0.5))
    shade = 1 - 0.93 * power * px.smoothstep(0.28, 1.02, away)
    return px.to_photo(picture * np.clip(shade, 0, 1)[..., None])


EFFECTS = (
    Effect(
        name="vignette",
        kind="look",
        instructions=(
            "add a vignette",
            "vignette",
            "dark corners",
            "darken the corners",
            "darken the edges of the picture",
            "give it a vignette",
            "add a strong vignette",
            "make the corners black",
            "fade the edges to black",
            "shade the borders",
            "could you darken the corners?",
            "vignette please",
            "put a dark frame of shadow around the picture",
            "I'd like the edges to fall into darkness",
            "add a vingette",
            "as if seen through an old lens with dark corners",
            "leave only the middle bright",
            "make the borders fade out into shadow",
        ),
        held_out_instructions=(
            "add a dark vignette to this photo",
            "please darken the edges",
            "with dark corners all round",
            "let the corners fade to black",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
