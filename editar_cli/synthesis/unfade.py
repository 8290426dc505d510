"""Unfade: an old faded colour print with its colours and contrast again."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.saturate(px.to_unit(photo), 0.55)
    power = px.vary(rng, 0.15)
    # Cyan dye fades first: what is left is reddish, pale, and never black.
    black = px.colour(0.34, 0.24, 0.20)
    white = px.colour(0.96, 0.86, 0.74)
    faded = black + (white - black) * picture
    return px.to_photo(px.mix(picture, faded, 0.9 * power))


EFFECTS = (
    Effect(
        name="unfade",
        kind="restoration",
        instructions=(
            "restore the faded colours",
            "unfade",
            "unfade it",
            "restore the colours",
            "restore the old photo",
            "restore this faded photograph",
            "fix the faded colors",
            "bring the faded print back to life",
            "the print has faded, restore it",
            "undo the fading",
            "refresh the old colours",
            "restore it please",
            "could you restore this faded old print?",
            "make the faded picture look new",
            "I'd like this old print to look like new",
            "make it look new again",
            "resotre the faded colours",
            "bring back the colours and the contrast that this print has lost",
        ),
        held_out_instructions=(
            "please restore this faded picture",
            "get the faded colours back",
            "a fresh version of this old print",
            "let the faded photo look new",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
