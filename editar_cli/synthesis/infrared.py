"""Infrared: false-colour film that shows leaves in red and the sky in deep cyan."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    picture = px.to_unit(photo)
    power = px.vary(rng, 0.05)
    light = px.luminance(picture)
    sky = px.sky_weight(picture)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    leaf = px.smoothstep(0.0, 0.10, green - blue - 0.25 * np.abs(red - green)) * (1 - sky)
    # The film's three layers see infrared, red and green, and print them as red, green and blue.
    heat = (0.85 * light + 0.42 * leaf) * (1 - 0.6 * sky) * power
    seen_green = 0.85 * red * (1 - 0.45 * leaf)
    seen_blue = 0.95 * green * (1 - 0.25 * leaf)
    film = np.stack([heat, seen_green, seen_blue], axis=-1)
    return px.to_photo(px.mix(film, px.smoothstep(0.0, 0.95, film), 0.5))


EFFECTS = (
    Effect(
        name="infrared",
        kind="look",
        instructions=(
            "make it infrared",
            "infrared",
            "infrared film",
            "infrared photo",
            "turn it into an infrared photograph",
            "shoot it on infrared film",
            "false-colour infrared",
            "make the plants red as on infrared film",
            "color infrared look",
            "Aerochrome",
            "could you make this infrared?",
            "infrared please",
            "I'd like the red and cyan of infrared film",
            "red leaves and a cyan sky",
            "make it infarred",
            "false colours",
            "make it look as if taken on colour infrared film",
            "as a camera that sees infrared would show it",
        ),
        held_out_instructions=(
            "show it in infrared",
            "please make an infrared picture of this",
            "an Aerochrome version",
            "as seen on false-colour film",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
