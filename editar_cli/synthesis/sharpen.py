"""Sharpen: crisp edges and clear texture."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    lab = px.to_lab(px.to_unit(photo))
    light = lab[..., 0]
    power = np.float32(px.vary(rng, 0.06))
    # Edges first, then the clarity of larger forms; halos are kept within what paper would show.
    edges = np.clip(1.5 * (light - px.blur(light, 0.008)), -22, 22)
    forms = np.clip(0.55 * (light - px.blur(light, 0.05)), -14, 14)
    lab[..., 0] = np.clip(light + power * (edges + forms), 0, 100)
    lab[..., 1:] *= np.float32(1.12)
    return px.to_photo(px.from_lab(lab))


EFFECTS = (
    Effect(
        name="sharpen",
        kind="look",
        instructions=(
            "make it sharper",
            "sharpen",
            "sharpen it",
            "sharpen the photo",
            "sharpen the image",
            "add sharpness",
            "more clarity",
            "add clarity",
            "increase the clarity",
            "make it crisp",
            "make the details stand out",
            "crisper please",
            "could you sharpen this a lot?",
            "more detail",
            "I'd like every texture to come out clearly",
            "make it shraper",
            "bring out the texture",
            "enhance the fine details so that everything looks crisp",
        ),
        held_out_instructions=(
            "make this picture sharper",
            "please increase the sharpness",
            "a crisp version with clear details",
            "turn up the clarity",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
