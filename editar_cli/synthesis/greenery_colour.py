"""Grass and leaves in another colour."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis import _regions as regions
from editar_cli.synthesis._change import Change, LocalEffect
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._sentences import (
    HELD_OUT_RECOLOURING,
    RECOLOURING,
    RECOLOURING_FIELDS,
)

_LOW = ("grass", "grass", "grass", "meadow", "greenery")
_HIGH = ("greenery", "plants", "leaves", "vegetation", "green part")


def _apply(photo: Photo, rng: np.random.Generator) -> Change | None:
    picture = px.to_unit(photo)
    draws = rng.random(2)
    weight = regions.greenery(picture)
    if weight is None:
        return None
    nouns = _LOW if regions.grows_low(weight) else _HIGH
    noun = nouns[int(draws[0] * len(nouns))]
    choices = [name for name in regions.other_hues(picture, weight) if name != "green"]
    colour = choices[int(draws[1] * len(choices))]
    return Change(
        photo,
        regions.recoloured(picture, weight, colour),
        regions.mask_of(weight),
        {"thing": noun, "noun": noun, "colour": colour},
    )


EFFECTS = (
    LocalEffect(
        name="greenery_colour",
        kind="colour",
        fields=RECOLOURING_FIELDS,
        instructions=RECOLOURING,
        held_out_instructions=HELD_OUT_RECOLOURING,
        paint=_apply,
    ),
)
