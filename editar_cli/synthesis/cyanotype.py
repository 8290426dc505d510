"""Cyanotype: a blueprint of Prussian blue and white."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_PRUSSIAN = (
    (0.00, (0.02, 0.09, 0.27)),
    (0.45, (0.10, 0.34, 0.62)),
    (1.00, (0.93, 0.97, 0.97)),
)


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    light = px.luminance(px.to_unit(photo))
    return px.to_photo(px.toned(px.mix(light, px.smoothstep(0.0, 1.0, light), 0.6), _PRUSSIAN))


EFFECTS = (
    Effect(
        name="cyanotype",
        kind="look",
        instructions=(
            "make it a cyanotype",
            "cyanotype",
            "blueprint",
            "make it a blueprint",
            "turn it into a cyanotype",
            "Prussian blue and white",
            "print it in Prussian blue",
            "a blue and white print",
            "blue monochrome",
            "blue duotone",
            "could you make a cyanotype of this?",
            "cyanotype please",
            "I'd like this as an old blue and white print",
            "like a sun print",
            "make it a cyanotpye",
            "a blueprint look",
            "print it on blueprint paper in blue and white only",
            "make it look like a Victorian blue photographic print",
        ),
        held_out_instructions=(
            "show it as a cyanotype",
            "please make a blueprint of this",
            "a Prussian blue version",
            "as a blue-toned print",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
