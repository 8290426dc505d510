"""Removal: a thing that stood in the photograph is gone."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._change import Change, LocalEffect, described, distinct
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._paste import beside, lay, over, random_spot
from editar_cli.synthesis.cutouts import Cutouts

_SECOND = 0.45
"""How often there is a second thing."""
_BOTH = 0.25
"""How often both go, where there are two."""


def _apply(photo: Photo, cutouts: Cutouts, rng: np.random.Generator) -> Change:
    picture = px.to_unit(photo)
    cutout = cutouts.show(rng)
    layer = lay(picture, cutout, random_spot(cutout, rng))
    second, both, draw = (float(rng.random()) for _ in range(3))
    words = cutout.noun
    if second < _SECOND and distinct(cutout, [other := cutouts.show(rng)]):
        companion = beside(picture, other, [layer], rng)
        if companion is not None:
            if both < _BOTH:
                mask = layer.mask | companion.mask
                things = f"{cutout.noun} and the {other.noun}"
                return Change(over(picture, [companion, layer]), photo, mask, {"thing": things})
            words = described(cutout, layer, [companion], draw)
            return Change(
                over(picture, [companion, layer]),
                over(picture, [companion]),
                layer.mask,
                {"thing": words},
            )
    words = described(cutout, layer, [], draw)
    return Change(over(picture, [layer]), photo, layer.mask, {"thing": words})


EFFECTS = (
    LocalEffect(
        name="removal",
        kind="object",
        fields=frozenset({"thing"}),
        instructions=(
            "remove the {thing}",
            "remove {thing}",
            "take away the {thing}",
            "erase the {thing}",
            "delete the {thing}",
            "get rid of the {thing}",
            "take the {thing} out",
            "take the {thing} away",
            "make the {thing} disappear",
            "no {thing}",
            "without the {thing}",
            "please remove the {thing} from the photo",
            "I don't want the {thing} in the picture",
            "could you edit out the {thing}?",
            "clear the {thing} away",
            "the {thing} should be gone",
            "show the same place without the {thing}",
            "can you make the {thing} go away",
            "remvoe the {thing}",
            "cut out the {thing} and fill in what is behind",
        ),
        held_out_instructions=(
            "get the {thing} out of the picture",
            "please erase the {thing}",
            "I want the {thing} removed",
            "drop the {thing} from this photo",
            "the same picture, but with no {thing}",
        ),
        paste=_apply,
    ),
)
