"""Deblur: a blurred picture made sharp."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    return px.to_photo(px.blur(px.to_unit(photo), 0.012 * px.vary(rng, 0.25)))


EFFECTS = (
    Effect(
        name="deblur",
        kind="restoration",
        instructions=(
            "deblur it",
            "deblur",
            "unblur it",
            "remove the blur",
            "fix the blur",
            "fix the focus",
            "get rid of the blur",
            "make the blurred picture sharp",
            "it is blurry, make it sharp",
            "it is out of focus, fix it",
            "put it into focus",
            "deblur please",
            "could you make this blurred photo sharp?",
            "focus it",
            "I'd like this to be in focus",
            "take the blur away",
            "debulr the picture",
            "make it look as if the focus had been right",
        ),
        held_out_instructions=(
            "please deblur this photo",
            "get the blur out of this picture",
            "a focused version of this",
            "let it be in focus",
        ),
        random=False,
        keeps_edges=False,
        apply=_damage,
    ),
)
