"""Posterize: few flat steps of bright colour."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo

_LEVELS = 3.0


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    flat = px.kuwahara(px.to_unit(photo), 0.012)
    flat = px.saturate(px.mix(flat, px.smoothstep(0.0, 1.0, flat), 0.5), 1.5)
    steps = np.clip(flat, 0, 1) * np.float32(_LEVELS)
    whole = np.floor(np.minimum(steps, np.float32(_LEVELS - 0.001)))
    stepped = (whole + px.smoothstep(0.4, 0.6, steps - whole)) / np.float32(_LEVELS)
    return px.to_photo(stepped)


EFFECTS = (
    Effect(
        name="posterize",
        kind="look",
        instructions=(
            "posterize it",
            "posterise",
            "posterize",
            "posterise it",
            "reduce it to a few colours",
            "use only a few flat colors",
            "limit the number of colours",
            "poster effect",
            "make it a poster with flat colours",
            "reduce the colours to a handful",
            "could you posterise this?",
            "posterized please",
            "I'd like big flat areas of a few strong colours",
            "flat colours",
            "posterzie it",
            "like an early computer with eight colours",
            "cut it down to a very small palette of bright colours",
            "make it look like a printed travel poster with few colours",
        ),
        held_out_instructions=(
            "show it posterized",
            "please reduce the number of colours",
            "a posterised version of this",
            "with only a handful of flat colours",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
