"""The sky in another colour, its clouds kept."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis import _regions as regions
from editar_cli.synthesis._change import Change, LocalEffect, with_article
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._sentences import (
    HELD_OUT_RECOLOURING,
    RECOLOURING,
    RECOLOURING_FIELDS,
)


def _apply(photo: Photo, rng: np.random.Generator) -> Change | None:
    picture = px.to_unit(photo)
    draw = float(rng.random())
    weight = regions.sky(picture)
    if weight is None:
        return None
    choices = regions.other_hues(picture, weight)
    colour = choices[int(draw * len(choices))]
    return Change(
        photo,
        regions.recoloured(picture, weight, colour),
        regions.mask_of(weight),
        {
            "thing": "sky",
            "noun": "sky",
            "colour": colour,
            "a_sky": with_article("sky", adjective=colour),
        },
    )


EFFECTS = (
    LocalEffect(
        name="sky_colour",
        kind="colour",
        fields=RECOLOURING_FIELDS | {"a_sky"},
        instructions=(
            *RECOLOURING,
            "give it {a_sky}",
            "under {a_sky}",
            "{a_sky} please",
            "the same place under {a_sky}",
            "replace the sky with {a_sky}",
        ),
        held_out_instructions=(
            *HELD_OUT_RECOLOURING,
            "I'd like to see this under {a_sky}",
            "with {a_sky} above",
        ),
        paint=_apply,
    ),
)
