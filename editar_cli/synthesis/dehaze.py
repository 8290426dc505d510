"""Dehaze: clear air and full contrast."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo
from editar_cli.synthesis._haze import veiled


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    density = 1.15 * px.vary(rng, 0.2)
    bluish = float(rng.random())
    air = px.colour(0.80 - 0.06 * bluish, 0.82, 0.83 + 0.05 * bluish)
    return px.to_photo(px.mix(veiled(picture, density, air), air, 0.12))


EFFECTS = (
    Effect(
        name="dehaze",
        kind="restoration",
        instructions=(
            "dehaze it",
            "dehaze",
            "remove the haze",
            "remove haze",
            "clear the haze",
            "get rid of the haze",
            "remove the fog",
            "clear the fog",
            "take away the mist",
            "make the air clear",
            "it is too hazy, clear it up",
            "haze removal please",
            "could you remove the mist from this?",
            "cut through the haze",
            "I'd like clear air and a clear view",
            "no more fog",
            "dehzae the picture",
            "make the view clear, as after rain has washed the air",
        ),
        held_out_instructions=(
            "please dehaze this photo",
            "get the haze out of this image",
            "a clear version without fog",
            "let the mist lift",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
