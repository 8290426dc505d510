"""Oil painting: flat dabs with firm borders, rich colour and the relief of paint."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    picture = px.to_unit(photo)
    dabs = px.kuwahara(picture, 0.026)
    dabs = px.kuwahara(dabs, 0.015)
    light = px.luminance(dabs)
    levels = 8.0
    steps = light * np.float32(levels)
    whole = np.floor(steps)
    stepped = (whole + px.smoothstep(0.25, 0.75, steps - whole)) / np.float32(levels)
    dabs = dabs + (0.8 * (stepped - light))[..., None]
    rich = px.saturate(dabs, 1.75) * px.colour(1.10, 1.01, 0.86)
    rich = px.mix(rich, px.smoothstep(-0.05, 1.0, rich), 0.5) + px.colour(0.045, 0.025, -0.01)
    # Lit from the upper left: the thick edges of the dabs catch light and cast shade.
    height = px.blur(px.luminance(dabs), 0.004)
    step = max(1, round(0.009 * px.short_side(photo)))
    shifted = np.roll(height, (step, step), axis=(0, 1))
    shifted[:step], shifted[:, :step] = height[:step], height[:, :step]
    relief = np.clip(1.1 * (height - shifted), -0.12, 0.12)
    return px.to_photo(rich + relief[..., None])


EFFECTS = (
    Effect(
        name="painting",
        kind="look",
        instructions=(
            "make it a painting",
            "painting",
            "turn it into a painting",
            "turn it into an oil painting",
            "oil painting",
            "make it look like an oil painting",
            "paint it",
            "paint this in oils",
            "make it painterly",
            "convert the photo to a painting",
            "could you paint this?",
            "in the style of an oil painting please",
            "I'd like this as a painting on canvas",
            "give it thick brush strokes",
            "make it a paintng",
            "a painted version of it",
            "make it look as if a painter had made it",
            "redo it with oil colours and a broad brush",
        ),
        held_out_instructions=(
            "make this photo into an oil painting",
            "please turn this into a painted picture",
            "show it as a work in oils",
            "as though painted by hand",
        ),
        random=False,
        keeps_edges=False,
        apply=_apply,
    ),
)
