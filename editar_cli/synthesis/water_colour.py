"""A sea or lake in another colour."""

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

_NOUNS = ("water", "water", "sea", "lake", "ocean")


def _apply(photo: Photo, rng: np.random.Generator) -> Change | None:
    picture = px.to_unit(photo)
    draws = rng.random(2)
    weight = regions.water(picture)
    if weight is None:
        return None
    noun = _NOUNS[int(draws[0] * len(_NOUNS))]
    choices = regions.other_hues(picture, weight)
    colour = choices[int(draws[1] * len(choices))]
    return Change(
        photo,
        regions.recoloured(picture, weight, colour),
        regions.mask_of(weight),
        {"thing": noun, "noun": noun, "colour": colour},
    )


EFFECTS = (
    LocalEffect(
        name="water_colour",
        kind="colour",
        fields=RECOLOURING_FIELDS,
        instructions=RECOLOURING,
        held_out_instructions=HELD_OUT_RECOLOURING,
        paint=_apply,
    ),
)
