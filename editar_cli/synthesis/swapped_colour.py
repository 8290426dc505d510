"""All that has one strong colour gets another."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis import _regions as regions
from editar_cli.synthesis._change import Change, LocalEffect
from editar_cli.synthesis._effect import Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Change | None:
    picture = px.to_unit(photo)
    draws = rng.random(2)
    found = {name: regions.one_hue(picture, name) for name in regions.HUES}
    there = {name: weight for name, weight in found.items() if weight is not None}
    if not there:
        return None
    old = list(there)[int(draws[0] * len(there))]
    choices = [name for name in regions.other_hues(picture, there[old]) if name != old]
    new = choices[int(draws[1] * len(choices))]
    return Change(
        photo,
        regions.recoloured(picture, there[old], new),
        regions.mask_of(there[old]),
        {"old": old, "new": new},
    )


EFFECTS = (
    LocalEffect(
        name="swapped_colour",
        kind="colour",
        fields=frozenset({"old", "new"}),
        instructions=(
            "make everything {old} {new}",
            "{old} to {new}",
            "turn {old} into {new}",
            "change {old} to {new}",
            "make the {old} thing {new}",
            "make the {old} things {new}",
            "make the {old} parts {new}",
            "turn the {old} parts {new}",
            "paint the {old} part {new}",
            "turn everything that is {old} {new}",
            "replace {old} with {new}",
            "swap every {old} for {new}",
            "change the {old} colour to {new}",
            "change the {old} color to {new}",
            "recolour all the {old} in {new}",
            "please turn the {old} object {new}",
            "could you make whatever is {old} {new}?",
            "what is {old} should be {new}",
            "chnage the {old} to {new}",
        ),
        held_out_instructions=(
            "make all that is {old} {new}",
            "please change the {old} parts to {new}",
            "I want the {old} to be {new}",
            "let the {old} things become {new}",
        ),
        paint=_apply,
    ),
)
