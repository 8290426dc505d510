"""Sepia: the brown tone of an old print."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    light = px.luminance(px.to_unit(photo))[..., None]
    strength = px.vary(rng, 0.04)
    # A brown that is darkest red and lightest cream, by channel curves.
    curves = np.array([[[0.74, 1.02, 1.55]]], np.float32) ** np.float32(strength)
    toned = np.maximum(light, 0) ** curves
    return px.to_photo(toned * px.colour(0.96, 0.89, 0.76) + px.colour(0.04, 0.02, 0.0))


EFFECTS = (
    Effect(
        name="sepia",
        kind="look",
        instructions=(
            "make it sepia",
            "sepia",
            "sepia tone",
            "add a sepia tone",
            "apply a sepia filter",
            "convert to sepia",
            "turn it sepia",
            "make it look like an old brown photograph",
            "give it a brownish antique tone",
            "could you make this photo sepia?",
            "sepia toned please",
            "make it look like it was taken in 1890",
            "I want it to look like an antique print in brown",
            "turn it into an old sepia photograph",
            "make it speia",
            "an old-time brown print",
            "make it look a hundred years old",
            "tone the picture brown like great-grandmother's photographs",
        ),
        held_out_instructions=(
            "give the picture a sepia look",
            "please apply sepia toning",
            "a sepia version of this",
            "make it resemble a nineteenth-century photograph",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
