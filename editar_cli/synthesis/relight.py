"""Relight: an underexposed picture at its right brightness."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    gain = np.float32(0.27 * px.vary(rng, 0.2))
    return px.to_photo(picture ** np.float32(1.2) * gain)


EFFECTS = (
    Effect(
        name="relight",
        kind="restoration",
        instructions=(
            "fix the exposure",
            "fix exposure",
            "correct the exposure",
            "it is underexposed",
            "it is underexposed, fix it",
            "rescue this underexposed photo",
            "correct the underexposure",
            "fix the underexposed picture",
            "I can hardly see anything, brighten it up",
            "bring this dark photo to normal brightness",
            "recover the shadows",
            "normal exposure please",
            "could you rescue this dark picture?",
            "restore the right brightness",
            "I'd like this photo to be properly exposed",
            "expose it correctly",
            "fix the expsoure",
            "make it look as if it had been exposed for long enough",
        ),
        held_out_instructions=(
            "please correct the exposure of this",
            "rescue this dark underexposed image",
            "a properly exposed version",
            "let it have the right exposure",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
