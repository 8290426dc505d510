"""Underwater: blue-green depth, light from above, the far dissolves."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    light = px.luminance(picture)
    height = px.rows(photo) + 0 * light
    # Water takes red first, then green.
    sunk = px.blur(picture, 0.005) * px.colour(0.28, 0.82, 0.95)
    depth = px.mix(
        np.broadcast_to(px.colour(0.16, 0.66, 0.78), picture.shape),
        px.colour(0.01, 0.16, 0.34),
        px.smoothstep(0.0, 1.0, height),
    )
    far = 1 - 0.55 * px.smoothstep(0.3, 1.0, height)
    scene = px.mix(sunk, depth, 0.66 * far * power)
    # Rays fan out from above the surface.
    fan = np.arctan2(px.columns(photo) - 0.5, px.rows(photo) + 0.35)
    turns = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
    rays = np.sin(23 * fan + turns[0]) + np.sin(37 * fan + turns[1])
    shine = (0.075 * np.clip(rays, 0, 2) * (1 - px.smoothstep(0.1, 0.9, height)))[..., None]
    return px.to_photo(scene + shine * px.colour(0.7, 1.0, 1.0))


EFFECTS = (
    Effect(
        name="underwater",
        kind="look",
        instructions=(
            "make it underwater",
            "underwater",
            "put it under water",
            "sink it in the sea",
            "under the sea",
            "make it look as if it were under water",
            "submerge it",
            "flood the whole scene",
            "turn it into an underwater scene",
            "deep under water",
            "could you put this place at the bottom of the sea?",
            "underwater please",
            "I'd like it to lie on the sea floor",
            "at the bottom of the ocean",
            "make it undrewater",
            "like Atlantis",
            "let the sea cover everything in the picture",
            "as a diver would see it, far below the surface",
        ),
        held_out_instructions=(
            "show it under the sea",
            "please submerge the scene",
            "an underwater version of this",
            "let it lie deep below the waves",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
