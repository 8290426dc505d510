"""Vintage: faded colour film of the 1970s, milky blacks, yellow lights, dark corners."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.saturate(px.to_unit(photo), 0.62)
    power = px.vary(rng, 0.04)
    # Blacks lift to a teal-violet, whites sink to cream: a straight line for each channel.
    black = px.colour(0.19, 0.15, 0.22)
    white = px.colour(0.99, 0.90, 0.68)
    faded: px.Array = black + (white - black) * np.clip(picture, 0, 1)
    faded = px.mix(faded, faded * px.colour(1.05, 1.0, 0.88), power - 0.2)
    away = ((px.rows(photo) - 0.5) ** 2 + (px.columns(photo) - 0.5) ** 2) * 2
    return px.to_photo(faded * (1 - 0.42 * away**1.5)[..., None])


EFFECTS = (
    Effect(
        name="vintage",
        kind="look",
        instructions=(
            "make it vintage",
            "vintage",
            "retro",
            "make it retro",
            "give it a vintage look",
            "apply a vintage film effect",
            "make it look like a 1970s photo",
            "faded film",
            "old colour film look",
            "make it look like a faded snapshot",
            "polaroid look",
            "could you make it look like an old holiday snap?",
            "give it a nostalgic faded look please",
            "I want the colours of old film",
            "make it vintige",
            "add a retro filter",
            "like an old colour slide",
            "make it look like it was shot decades ago on cheap film",
        ),
        held_out_instructions=(
            "give the picture a retro feel",
            "please make it look like vintage film",
            "a faded seventies look",
            "turn it into an old colour photograph",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
