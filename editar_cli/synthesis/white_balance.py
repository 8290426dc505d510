"""White balance: a colour cast is gone."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_CASTS = (
    (1.30, 0.92, 0.52),
    (0.62, 0.95, 1.30),
    (0.74, 1.18, 0.74),
    (1.18, 0.74, 1.16),
)
"""Gains of lamps and shade as wrong settings see them: tungsten, shade, fluorescent, magenta."""


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    cast = _CASTS[int(rng.random() * len(_CASTS))]
    gain = px.colour(*cast) ** np.float32(px.vary(rng, 0.15))
    # Half as gain and half as gamma, so that bright greys move too.
    shifted = np.clip(picture ** (1 / np.sqrt(gain)) * np.sqrt(gain), 0, 1)
    drift = px.luminance(picture) - px.luminance(shifted)
    return px.to_photo(shifted + (0.7 * drift)[..., None])


EFFECTS = (
    Effect(
        name="white_balance",
        kind="restoration",
        instructions=(
            "fix the white balance",
            "white balance",
            "correct the white balance",
            "remove the colour cast",
            "remove the color cast",
            "fix the colours",
            "correct the colors",
            "the colours are wrong, fix them",
            "neutralise the colour cast",
            "neutralize the tint",
            "get rid of the colour cast",
            "natural colours please",
            "could you correct the white balance?",
            "make whites white again",
            "I'd like true, neutral colours",
            "auto white balance",
            "fix the withe balance",
            "make the colours look natural, the camera was set wrongly",
        ),
        held_out_instructions=(
            "please fix the colour cast",
            "get the colour cast out of this picture",
            "a version with neutral colours",
            "let the white balance be right",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
