"""Exposure: brighter and darker, along a film-like curve that keeps black and white."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _brighter(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    gamma = np.float32(0.52 * px.vary(rng, 0.05))
    lifted = picture**gamma
    return px.to_photo(px.saturate(lifted, 1.08) + 0.03)


def _darker(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    gain = 0.46 * px.vary(rng, 0.05)
    return px.to_photo(picture ** np.float32(1.25) * np.float32(gain))


EFFECTS = (
    Effect(
        name="brighter",
        kind="look",
        instructions=(
            "make it brighter",
            "brighter",
            "brighten it",
            "brighten the photo",
            "brighten this up",
            "increase the brightness",
            "raise the exposure",
            "make the picture a lot lighter",
            "more light",
            "lighten it up please",
            "could you brighten this photo?",
            "it is too dark, make it brighter",
            "turn up the brightness",
            "I'd like the whole image much brighter",
            "make it brigther",
            "lighter",
            "add more light to the scene",
            "lift the shadows so that one can see everything",
        ),
        held_out_instructions=(
            "make this picture brighter",
            "please increase the exposure",
            "let there be more light in the photo",
            "overexpose it a little",
        ),
        random=False,
        keeps_edges=True,
        apply=_brighter,
    ),
    Effect(
        name="darker",
        kind="look",
        instructions=(
            "make it darker",
            "darker",
            "darken it",
            "darken the photo",
            "lower the brightness",
            "reduce the exposure",
            "decrease the brightness",
            "make the picture much darker",
            "less light",
            "dim it please",
            "could you darken this photo?",
            "it is too bright, make it darker",
            "turn down the brightness",
            "I'd like the whole image a good deal darker",
            "make it draker",
            "dim the lights",
            "underexpose it",
            "bring the exposure down so that it looks gloomy",
        ),
        held_out_instructions=(
            "make this picture darker",
            "please lower the exposure",
            "let there be less light in the photo",
            "dim the whole image",
        ),
        random=False,
        keeps_edges=True,
        apply=_darker,
    ),
)
