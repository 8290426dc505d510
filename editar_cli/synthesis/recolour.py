"""Recolour: one thing in another colour, everything else as it was."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._change import Change, LocalEffect, described, distinct
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._paint import COLOURS, other_colours, painted
from editar_cli.synthesis._paste import beside, lay, over, random_spot
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
        fields=frozenset({"thing", "noun", "colour"}),
        instructions=(
            "make the {thing} {colour}",
            "{colour} {noun}",
            "turn the {thing} {colour}",
            "paint the {thing} {colour}",
            "change the colour of the {thing} to {colour}",
            "change the color of the {thing} to {colour}",
            "colour the {thing} {colour}",
            "color the {thing} {colour}",
            "recolour the {thing} in {colour}",
            "the {thing} should be {colour}",
            "I want the {thing} to be {colour}",
            "could the {thing} be {colour}?",
            "please make the {thing} {colour}",
            "the {thing} in {colour}",
            "dye the {thing} {colour}",
            "let me see the {thing} in {colour}",
            "have the {thing} painted {colour}",
            "mkae the {thing} {colour}",
        ),
        held_out_instructions=(
            "please paint the {thing} {colour}",
            "I'd like the {thing} in {colour}",
            "recolor the {thing} to {colour}",
            "the {thing}'s colour should be {colour}",
            "could you make the {thing} {colour}?",
        ),
        apply=_apply,
    ),
)
