"""Watercolour: pale washes with darker rims on white paper."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    washes = px.kuwahara(picture, 0.028)
    washes = px.blur(px.kuwahara(washes, 0.014), 0.003)
    light = px.luminance(washes)
    # Pigment gathers at the rim of a wash and pools in the paper's hollows.
    rims = np.clip(2.2 * np.abs(light - px.blur(light, 0.012)), 0, 0.20)
    pools = 0.030 * px.noise(photo, rng, cell=0.045)[..., 0]
    thin = 0.34 + 0.66 * px.saturate(washes, 1.45)
    paint = thin - (0.8 * rims + np.clip(pools, -0.06, 0.06))[..., None]
    # The paper stays white along a ragged border.
    ragged = 0.02 * px.noise(photo, rng, cell=0.05)[..., 0]
    edge = np.minimum(
        np.minimum(px.rows(photo), 1 - px.rows(photo)),
        np.minimum(px.columns(photo), 1 - px.columns(photo)),
    )
    inside = px.smoothstep(0.025, 0.06, edge + np.clip(ragged, -0.03, 0.03))
    return px.to_photo(
        px.mix(np.broadcast_to(px.colour(0.985, 0.98, 0.96), paint.shape), paint, inside)
    )


EFFECTS = (
    Effect(
        name="watercolour",
        kind="look",
        instructions=(
            "make it a watercolour",
            "watercolour",
            "watercolor",
            "turn it into a watercolor",
            "watercolour painting",
            "make it look like a watercolour",
            "paint it in watercolours",
            "paint it with watercolors on white paper",
            "pale washes of colour",
            "an aquarelle",
            "could you make a watercolour of this?",
            "watercolour please",
            "I'd like this painted in thin washes",
            "aquarelle style",
            "make it a watrecolour",
            "loose watercolour style",
            "redo it in transparent paint on white paper",
            "make it look as if painted with a wet brush and thin colour",
        ),
        held_out_instructions=(
            "show it as a watercolour",
            "please turn this into a watercolor painting",
            "an aquarelle of this photo",
            "as thin washes on paper",
        ),
        random=True,
        keeps_edges=False,
        apply=_apply,
    ),
)
