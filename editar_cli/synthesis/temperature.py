"""White balance: warmer and cooler."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _balance(photo: Photo, gains: tuple[float, float, float], keep: float) -> Photo:
    """Scale the channels; part of the luma lost or won on the way is given back (`keep`)."""
    picture = px.to_unit(photo)
    light = px.luminance(picture)
    # Bright greys must move too, so half of the shift is a gamma and half a gain.
    gain = np.array([[gains]], np.float32)
    shifted = (picture ** (1 / np.sqrt(gain))) * np.sqrt(gain)
    drift = (light - px.luminance(shifted))[..., None]
    return px.to_photo(shifted + np.float32(keep) * drift)


def _warmer(photo: Photo, rng: np.random.Generator) -> Photo:
    power = px.vary(rng, 0.05)
    return _balance(photo, (1.0 + 0.36 * power, 1.0, 1.0 - 0.46 * power), 0.6)


def _cooler(photo: Photo, rng: np.random.Generator) -> Photo:
    power = px.vary(rng, 0.05)
    return _balance(photo, (1.0 - 0.42 * power, 0.98, 1.0 + 0.42 * power), 0.6)


EFFECTS = (
    Effect(
        name="warmer",
        kind="look",
        instructions=(
            "make it warmer",
            "warmer",
            "warm up the colours",
            "warmer colors",
            "make the colours warmer",
            "raise the colour temperature",
            "warm it up",
            "give it a warm tone",
            "warmer white balance",
            "add warmth please",
            "could you make the photo feel warmer?",
            "apply a warm filter",
            "shift the white balance to warm",
            "I'd like a warmer, cosier look",
            "make it wamer",
            "use warmer tones throughout",
            "a warm cast",
            "it looks too cold, warm the picture up",
        ),
        held_out_instructions=(
            "make the image warmer",
            "please use a warm white balance",
            "give the scene warmer tones",
            "a cosier colour temperature",
        ),
        random=False,
        keeps_edges=True,
        apply=_warmer,
    ),
    Effect(
        name="cooler",
        kind="look",
        instructions=(
            "make it cooler",
            "cooler",
            "cool down the colours",
            "cooler colors",
            "make the colours colder",
            "lower the colour temperature",
            "cool it down",
            "give it a cold tone",
            "cooler white balance",
            "add a cold look please",
            "could you make the photo feel colder?",
            "apply a cool filter",
            "shift the white balance to cool",
            "I'd like a colder, icier look",
            "make it coler",
            "use colder tones throughout",
            "a cold cast",
            "it looks too warm, cool the picture down",
        ),
        held_out_instructions=(
            "make the image colder",
            "please use a cool white balance",
            "give the scene cooler tones",
            "a chillier colour temperature",
        ),
        random=False,
        keeps_edges=True,
        apply=_cooler,
    ),
)
