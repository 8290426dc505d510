"""Linocut: black ink on paper, nothing between."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    light = px.blur(px.luminance(px.kuwahara(px.to_unit(photo), 0.008)), 0.003)
    # Half by the whole picture's middle, half by the surroundings: forms and large darks both stay.
    middle = 0.5 * float(np.median(light)) + 0.5 * px.blur(light, 0.08)
    paper = px.smoothstep(-0.012, 0.012, light - middle * 0.98)
    ink, sheet = px.colour(0.07, 0.07, 0.08), px.colour(0.96, 0.94, 0.89)
    return px.to_photo(px.mix(np.broadcast_to(ink, photo.shape), sheet, paper))


EFFECTS = (
    Effect(
        name="linocut",
        kind="look",
        instructions=(
            "make it a linocut",
            "linocut",
            "woodcut",
            "make it a woodcut",
            "turn it into a linocut",
            "stencil",
            "make it a stencil",
            "pure black and white without any grey",
            "two-tone ink print",
            "ink print",
            "could you make a woodcut of this?",
            "a linocut please",
            "I'd like this carved and printed in black ink",
            "block print",
            "make it a lincout",
            "high-contrast black ink on paper",
            "print it with one block in black ink on paper",
            "like a poster cut out of black paper",
        ),
        held_out_instructions=(
            "show it as a linocut",
            "please turn this into a woodcut",
            "a stencil of this photo",
            "as a block print in black",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
