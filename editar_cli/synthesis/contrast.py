"""Contrast: more and less of it, about middle grey."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _higher(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    slope = np.float32(6.2 * px.vary(rng, 0.05))

    def curve(values: px.Array) -> px.Array:
        curved: px.Array = 1 / (1 + np.exp(-slope * (values - np.float32(0.47))))
        return curved

    low, high = curve(np.zeros(1, np.float32)), curve(np.ones(1, np.float32))
    return px.to_photo((curve(picture) - low) / (high - low))


def _lower(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    slope = 0.38 * px.vary(rng, 0.05)
    return px.to_photo(0.52 + (px.saturate(picture, 0.95) - 0.5) * np.float32(slope))


EFFECTS = (
    Effect(
        name="high_contrast",
        kind="look",
        instructions=(
            "increase the contrast",
            "more contrast",
            "high contrast",
            "make it high contrast",
            "boost the contrast",
            "add contrast",
            "raise the contrast",
            "make it punchier",
            "make the contrast stronger please",
            "could you give it more contrast?",
            "crank up the contrast",
            "stronger contrast",
            "I'd like deep blacks and bright whites",
            "make it more contrasty",
            "incraese the contrast",
            "harder contrast",
            "make the darks darker and the lights lighter",
            "it looks flat, give it a lot more contrast",
        ),
        held_out_instructions=(
            "turn up the contrast",
            "please add more contrast to this",
            "a high-contrast version",
            "give the image a punchy contrast",
        ),
        random=False,
        keeps_edges=True,
        apply=_higher,
    ),
    Effect(
        name="low_contrast",
        kind="look",
        instructions=(
            "reduce the contrast",
            "less contrast",
            "low contrast",
            "make it low contrast",
            "lower the contrast",
            "decrease the contrast",
            "soften the contrast",
            "make it flat",
            "make the contrast weaker please",
            "could you take some contrast out?",
            "flatten the contrast",
            "weaker contrast",
            "I'd like soft grey shadows and no deep blacks",
            "make it look flat and washed out",
            "recude the contrast",
            "softer contrast",
            "bring the darks and the lights closer together",
            "it looks too harsh, give it much less contrast",
        ),
        held_out_instructions=(
            "turn down the contrast",
            "please remove contrast from this",
            "a low-contrast version",
            "give the image a flat matte contrast",
        ),
        random=False,
        keeps_edges=True,
        apply=_lower,
    ),
)
