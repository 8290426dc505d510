"""Fog: the farther, the paler, after Koschmieder's law of visibility."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo
from editar_cli.synthesis._haze import veiled


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    density = 2.5 * px.vary(rng, 0.06)
    air = px.colour(0.80, 0.825, 0.845) + 0.03 * (0.5 - px.rows(photo))[..., None]
    return px.to_photo(veiled(picture, density, air))


EFFECTS = (
    Effect(
        name="fog",
        kind="look",
        instructions=(
            "make it foggy",
            "fog",
            "add fog",
            "make it misty",
            "foggy weather",
            "fill the scene with fog",
            "add thick mist",
            "turn it into a foggy morning",
            "change the weather to fog",
            "cover the background in mist please",
            "could you add some fog?",
            "make it look hazy and misty",
            "I want dense fog rolling over the scene",
            "let the distance disappear in the fog",
            "a misty day",
            "make it fogy",
            "shroud it in haze",
            "make it look like early morning with a lot of mist hanging in the air",
        ),
        held_out_instructions=(
            "show it on a foggy day",
            "please put some mist in the picture",
            "wrap everything in fog",
            "a foggy version of this photo",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
