"""Saturation: vivid and muted colours."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _vivid(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    lab = px.to_lab(picture)
    chroma = np.sqrt(lab[..., 1] ** 2 + lab[..., 2] ** 2)
    # Pale colours gain most, strong ones are kept from clipping.
    gain = 1 + np.float32(1.6 * px.vary(rng, 0.05)) / (1 + (chroma / 55) ** 2)
    lab[..., 1:] *= gain[..., None]
    bold = px.from_lab(lab)
    return px.to_photo(px.mix(bold, px.smoothstep(0.0, 1.0, bold), 0.35))


def _muted(photo: Photo, rng: np.random.Generator) -> Photo:
    faded = px.saturate(px.to_unit(photo), 0.24 * px.vary(rng, 0.06))
    # Quiet colours come with quiet contrast, as under thin cloud.
    return px.to_photo(0.105 + 0.80 * faded)


EFFECTS = (
    Effect(
        name="vivid",
        kind="look",
        instructions=(
            "make it more vivid",
            "vivid",
            "vivid colours",
            "make the colors pop",
            "boost the colours",
            "more saturation",
            "increase the saturation",
            "make it more colourful",
            "more colorful",
            "saturate the colours please",
            "could you make the colours stronger?",
            "richer colours",
            "I'd like bolder, brighter colours",
            "turn up the saturation",
            "make it viviid",
            "vibrant",
            "make the colours much more vibrant",
            "it looks dull, give it bold colours",
        ),
        held_out_instructions=(
            "make the picture more colorful",
            "please boost the saturation",
            "a vibrant version of this",
            "let the colours shine",
        ),
        random=False,
        keeps_edges=True,
        apply=_vivid,
    ),
    Effect(
        name="muted",
        kind="look",
        instructions=(
            "mute the colours",
            "muted",
            "muted colours",
            "make the colors softer",
            "tone down the colours",
            "less saturation",
            "reduce the saturation",
            "make it less colourful",
            "less colorful",
            "desaturate it a bit please",
            "could you make the colours weaker?",
            "paler colours",
            "I'd like subdued, quiet colours",
            "turn down the saturation",
            "mtue the colours",
            "drab",
            "make the colours much duller",
            "it looks garish, give it subdued colours",
        ),
        held_out_instructions=(
            "make the picture less vibrant",
            "please lower the saturation",
            "a version with muted tones",
            "let the colours fade",
        ),
        random=False,
        keeps_edges=True,
        apply=_muted,
    ),
)
