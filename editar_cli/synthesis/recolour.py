"""Recolour: one thing in another colour, everything else as it was."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._change import Change, LocalEffect, described, distinct
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._paint import COLOURS, other_colours, painted
from editar_cli.synthesis._paste import beside, lay, over, random_spot
from editar_cli.synthesis._sentences import (
    HELD_OUT_RECOLOURING,
    RECOLOURING,
    RECOLOURING_FIELDS,
)
from editar_cli.synthesis.cutouts import Cutouts

_SECOND = 0.35
_TRIES = 12


def _apply(photo: Photo, cutouts: Cutouts, rng: np.random.Generator) -> Change:
    picture = px.to_unit(photo)
    old = cutouts.show(rng)
    choices = other_colours(old)
    for _ in range(_TRIES):
        if choices:
            break
        old = cutouts.show(rng)
        choices = other_colours(old)
    colour = (choices or list(COLOURS))[int(rng.integers(len(choices or COLOURS)))]
    spot = random_spot(old, rng)
    before, after = lay(picture, old, spot), lay(picture, painted(old, colour), spot)
    second, draw = float(rng.random()), float(rng.random())
    rest = []
    if second < _SECOND and distinct(other := cutouts.show(rng), [old]):
        companion = beside(picture, other, [before], rng)
        rest = [] if companion is None else [companion]
    return Change(
        over(picture, [*rest, before]),
        over(picture, [*rest, after]),
        before.cover > 0,
        {"thing": described(old, before, rest, draw), "noun": old.noun, "colour": colour},
    )


EFFECTS = (
    LocalEffect(
        name="recolour",
        kind="colour",
        fields=RECOLOURING_FIELDS,
        instructions=RECOLOURING,
        held_out_instructions=HELD_OUT_RECOLOURING,
        paste=_apply,
    ),
)
