"""Thermal camera: brightness as heat, from blue-black over magenta and orange to white."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_HEAT = (
    (0.00, (0.01, 0.01, 0.12)),
    (0.20, (0.22, 0.03, 0.50)),
    (0.42, (0.72, 0.10, 0.50)),
    (0.64, (0.97, 0.45, 0.10)),
    (0.84, (1.00, 0.86, 0.15)),
    (1.00, (1.00, 1.00, 0.92)),
)


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    light = px.blur(px.luminance(px.to_unit(photo)), 0.004)
    return px.to_photo(px.toned(px.mix(light, px.smoothstep(0.0, 1.0, light), 0.5), _HEAT))


EFFECTS = (
    Effect(
        name="thermal",
        kind="look",
        instructions=(
            "make it a thermal image",
            "thermal",
            "thermal camera",
            "heat map",
            "turn it into a heat map",
            "show the heat",
            "thermal vision",
            "thermal imaging look",
            "like a heat camera",
            "Predator vision",
            "could you show this as a thermal camera would?",
            "thermal image please",
            "I'd like this in the colours of a heat camera",
            "heat vision",
            "make it a theraml image",
            "false heat colours",
            "map dark to violet and bright to yellow and white",
            "as a camera that measures temperature would show it",
        ),
        held_out_instructions=(
            "show it as a thermal picture",
            "please make a heat map of this",
            "a thermal vision version",
            "as through a heat camera",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
