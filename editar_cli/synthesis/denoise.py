"""Denoise: the grain of a high sensitivity is gone."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.3)
    coarse = px.noise(photo, rng, cell=1 / 128)
    fine = px.noise(photo, rng, cell=1 / 320)
    spots = px.noise(photo, rng, cell=1 / 100, channels=3)
    # Sensors are noisiest in the shadows.
    where = (1.15 - 0.5 * px.luminance(picture))[..., None]
    grain = 0.075 * coarse + 0.05 * fine + 0.05 * spots
    return px.to_photo(picture + np.float32(power) * where * grain)


EFFECTS = (
    Effect(
        name="denoise",
        kind="restoration",
        instructions=(
            "denoise it",
            "denoise",
            "remove the noise",
            "remove noise",
            "reduce the noise",
            "remove the grain",
            "clean up the noise",
            "get rid of the grain",
            "de-noise the photo",
            "make it less grainy",
            "it is too noisy, clean it up",
            "noise reduction please",
            "could you remove the grain from this?",
            "smooth out the noise",
            "I'd like a clean picture without any grain",
            "take the noise out",
            "denosie the picture",
            "clean the high ISO noise out of this photograph",
        ),
        held_out_instructions=(
            "please denoise this picture",
            "get the noise out of this image",
            "a clean version without grain",
            "let the grain disappear",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
