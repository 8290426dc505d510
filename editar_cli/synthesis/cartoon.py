"""Cartoon: a few flat bright tones and dark outlines."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    picture = px.to_unit(photo)
    flat = px.kuwahara(picture, 0.020)
    lab = px.to_lab(flat)
    step = np.float32(25)
    steps = (lab[..., 0] + 6) / step
    whole = np.floor(steps)
    lab[..., 0] = np.clip((whole + px.smoothstep(0.42, 0.58, steps - whole)) * step + 6, 0, 98)
    lab[..., 1:] *= np.float32(2.0)
    lines = px.ink_lines(px.luminance(picture), 0.0065, threshold=0.010, softness=0.018)
    return px.to_photo(px.mix(px.from_lab(lab), px.colour(0.05, 0.05, 0.08), 0.9 * lines))


EFFECTS = (
    Effect(
        name="cartoon",
        kind="look",
        instructions=(
            "make it a cartoon",
            "cartoon",
            "turn it into a cartoon",
            "cartoon style",
            "make it look like a comic",
            "comic book style",
            "turn it into a comic",
            "cartoonify it",
            "make it look animated",
            "convert the photo to a cartoon",
            "could you make this a cartoon?",
            "as a cartoon please",
            "I'd like this to look like a frame of an animated film",
            "give it flat colours and black outlines",
            "make it a catroon",
            "an anime look",
            "make it look like it came out of a comic strip",
            "redo it with bold outlines and flat bright colours",
        ),
        held_out_instructions=(
            "make this photo into a cartoon",
            "please turn this into a comic drawing",
            "show it in a cartoon look",
            "as a panel in a comic book",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
