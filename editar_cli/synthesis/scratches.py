"""Scratches: an old print without its scratches, dust and stains."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _damage(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    lines = px.streaks(
        photo,
        rng,
        count=9,
        length=(0.15, 0.8),
        thickness=0.006,
        slant=0.06 * px.vary(rng, 2.0),
        strength=(0.55, 0.95),
    )
    dust = px.dots(photo, rng, count=45, radius=(0.004, 0.016), strength=(0.6, 0.95))
    dirt = px.dots(photo, rng, count=22, radius=(0.004, 0.02), strength=(0.5, 0.9))
    worn = px.mix(picture, px.colour(0.93, 0.92, 0.88), np.maximum(lines, dust))
    return px.to_photo(px.mix(worn, px.colour(0.10, 0.09, 0.08), dirt))


EFFECTS = (
    Effect(
        name="scratches",
        kind="restoration",
        instructions=(
            "remove the scratches",
            "scratches away",
            "remove scratches",
            "remove the dust and scratches",
            "remove the dust",
            "clean the spots off",
            "repair the scratched photo",
            "repair it",
            "get rid of the scratches",
            "fix the scratches and spots",
            "restore this damaged photograph",
            "take the dust off please",
            "could you clean this dirty old print?",
            "retouch the scratches",
            "I'd like the scratches and stains gone",
            "clean the print",
            "remove the scartches",
            "repair the damage that the years have done to this print",
        ),
        held_out_instructions=(
            "please remove dust and scratches",
            "get the scratches out of this picture",
            "a clean version without spots",
            "let the scratches disappear",
        ),
        random=False,
        keeps_edges=True,
        apply=_damage,
    ),
)
