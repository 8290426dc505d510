"""Dreamy: a soft glow over everything, in light lilac and pink."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    # Orton's sandwich: a sharp slide under an overexposed soft one.
    soft = px.blur(picture, 0.022)
    glow = 1 - (1 - picture) * (1 - 0.58 * power * soft)
    hazy = px.mix(glow, px.blur(glow, 0.012), 0.6)
    tinted = px.mix(hazy, np.broadcast_to(px.colour(0.98, 0.80, 0.93), hazy.shape), 0.18)
    return px.to_photo(0.06 + 0.92 * px.saturate(tinted, 1.3))


EFFECTS = (
    Effect(
        name="dreamy",
        kind="look",
        instructions=(
            "make it dreamy",
            "dreamy",
            "soft glow",
            "add a soft glow",
            "make it glow softly",
            "romantic soft focus",
            "soft focus",
            "give it a dreamy haze",
            "make it look like a dream",
            "ethereal",
            "could you make it look like a fairy tale?",
            "dreamy please",
            "I'd like a soft romantic glow over everything",
            "like in a dream",
            "make it draemy",
            "magical soft light",
            "put a glowing pink haze over the whole picture",
            "make it look like a memory of a beautiful dream",
        ),
        held_out_instructions=(
            "give the photo a dreamy look",
            "please add a romantic glow",
            "an ethereal version of this",
            "let it glow as in a dream",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
