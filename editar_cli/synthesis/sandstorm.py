"""Sandstorm: orange dust hides what is far."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo
from editar_cli.synthesis._haze import veiled


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    density = 1.05 * px.vary(rng, 0.06)
    dusty = px.saturate(picture, 0.5) * px.colour(1.02, 0.76, 0.46)
    drift = 0.05 * px.clouds(photo, rng)[..., None]
    air = px.colour(0.84, 0.56, 0.27) * (1 + drift) + 0.06 * (0.4 - px.rows(photo))[..., None]
    return px.to_photo(veiled(dusty, density, air))


EFFECTS = (
    Effect(
        name="sandstorm",
        kind="look",
        instructions=(
            "add a sandstorm",
            "sandstorm",
            "dust storm",
            "make it a sandstorm",
            "fill the air with dust",
            "orange dust everywhere",
            "turn it into a dust storm",
            "make the air full of sand",
            "make it look like Mars",
            "blowing sand",
            "could you add a dust storm?",
            "a sandstorm please",
            "I want thick orange dust over everything",
            "on Mars",
            "add a sandstrom",
            "dusty air",
            "let a wall of desert dust roll over the scene",
            "change the weather so that sand is blowing everywhere",
        ),
        held_out_instructions=(
            "show it in a sandstorm",
            "please fill the air with orange dust",
            "a dust storm over the scene",
            "let desert sand blow through it",
        ),
        random=True,
        keeps_edges=True,
        apply=_apply,
    ),
)
