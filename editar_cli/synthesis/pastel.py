"""Pastel: light, chalky, gentle colours."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    lab = px.to_lab(picture)
    power = np.float32(px.vary(rng, 0.05))
    # Whatever is dark becomes light; strong colours fade and greys get a breath of colour.
    pale = px.smoothstep(10, 80, lab[..., 0])
    lab[..., 0] = 58 + 0.38 * lab[..., 0] * power
    lab[..., 1] = 1.05 * lab[..., 1] + 9 * (pale - 0.3)
    lab[..., 2] = 0.85 * lab[..., 2] + 5 * (pale - 0.6)
    return px.to_photo(px.from_lab(lab))


EFFECTS = (
    Effect(
        name="pastel",
        kind="look",
        instructions=(
            "make it pastel",
            "pastel",
            "pastel colours",
            "pastel colors",
            "soft pastel tones",
            "turn the colours to pastel",
            "light candy colours",
            "chalky pale colours",
            "give it a pastel palette",
            "make the colours soft and light",
            "could you use pastel colours?",
            "pastel please",
            "I'd like light and gentle pastel tones",
            "baby colours",
            "make it patsel",
            "ice-cream colours",
            "use only pale pinks, blues and greens",
            "make it look soft and light as if drawn with chalks",
        ),
        held_out_instructions=(
            "show it in pastel colours",
            "please make the tones pastel",
            "a pastel-coloured version",
            "with light chalky colours",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
