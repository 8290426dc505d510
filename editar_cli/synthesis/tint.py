"""Tints: the picture washed in red, green, blue, purple, yellow or pink."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._effect import Effect, Photo


def _wash(red: float, green: float, blue: float) -> Callable[[Photo, np.random.Generator], Photo]:
    """An effect that washes the picture in one hue, keeping its light and a trace of its colour."""
    deep = px.colour(red, green, blue)

    def apply(photo: Photo, rng: np.random.Generator) -> Photo:
        picture = px.to_unit(photo)
        strength = 0.82 * px.vary(rng, 0.04)
        light = px.luminance(picture)[..., None]
        # Black, the full hue at middle grey, then towards a pale tint of it.
        dark = np.clip(light * 2, 0, 1)
        pale = np.clip(light * 2 - 1, 0, 1)
        washed = deep * dark + (0.30 * deep + 0.70 - deep) * pale
        return px.to_photo(px.mix(picture, washed, strength))

    return apply


EFFECTS = (
    Effect(
        name="red_tint",
        kind="look",
        instructions=(
            "make it red",
            "red",
            "tint it red",
            "add a red tint",
            "make everything red",
            "apply a red filter",
            "give it a red cast",
            "red tint",
            "red filter",
            "turn the whole picture red",
            "could you tint this red?",
            "wash it in red please",
            "I'd like everything in shades of red",
            "colour it red",
            "color the whole photo red",
            "make it rred",
            "as if lit by a red lamp",
            "put a red colour wash over the picture",
        ),
        held_out_instructions=(
            "make the image red",
            "please add a red colour cast",
            "everything should be red",
            "a red-tinted version",
        ),
        random=False,
        keeps_edges=True,
        apply=_wash(0.8, 0.1, 0.1),
    ),
    Effect(
        name="green_tint",
        kind="look",
        instructions=(
            "make it green",
            "green",
            "tint it green",
            "add a green tint",
            "make everything green",
            "apply a green filter",
            "give it a green cast",
            "green tint",
            "green filter",
            "turn the whole picture green",
            "could you tint this green?",
            "wash it in green please",
            "I'd like everything in shades of green",
            "colour it green",
            "color the whole photo green",
            "make it gren",
            "as if seen through green glass",
            "put a green colour wash over the picture",
        ),
        held_out_instructions=(
            "make the image green",
            "please add a green colour cast",
            "everything should be green",
            "a green-tinted version",
        ),
        random=False,
        keeps_edges=True,
        apply=_wash(0.1, 0.58, 0.18),
    ),
    Effect(
        name="blue_tint",
        kind="look",
        instructions=(
            "make it blue",
            "blue",
            "tint it blue",
            "add a blue tint",
            "make everything blue",
            "apply a blue filter",
            "give it a blue cast",
            "blue tint",
            "blue filter",
            "turn the whole picture blue",
            "could you tint this blue?",
            "wash it in blue please",
            "I'd like everything in shades of blue",
            "colour it blue",
            "color the whole photo blue",
            "make it bleu",
            "as if lit by a blue lamp",
            "put a blue colour wash over the picture",
        ),
        held_out_instructions=(
            "make the image blue",
            "please add a blue colour cast",
            "everything should be blue",
            "a blue-tinted version",
        ),
        random=False,
        keeps_edges=True,
        apply=_wash(0.1, 0.3, 0.82),
    ),
    Effect(
        name="purple_tint",
        kind="look",
        instructions=(
            "make it purple",
            "purple",
            "tint it purple",
            "add a purple tint",
            "make everything purple",
            "apply a purple filter",
            "give it a purple cast",
            "purple tint",
            "purple filter",
            "turn the whole picture purple",
            "could you tint this purple?",
            "wash it in purple please",
            "I'd like everything in shades of purple",
            "colour it purple",
            "color the whole photo purple",
            "make it purpel",
            "as if lit by violet neon",
            "put a purple colour wash over the picture",
        ),
        held_out_instructions=(
            "make the image purple",
            "please add a purple colour cast",
            "everything should be purple",
            "a purple-tinted version",
        ),
        random=False,
        keeps_edges=True,
        apply=_wash(0.5, 0.14, 0.72),
    ),
    Effect(
        name="yellow_tint",
        kind="look",
        instructions=(
            "make it yellow",
            "yellow",
            "tint it yellow",
            "add a yellow tint",
            "make everything yellow",
            "apply a yellow filter",
            "give it a yellow cast",
            "yellow tint",
            "yellow filter",
            "turn the whole picture yellow",
            "could you tint this yellow?",
            "wash it in yellow please",
            "I'd like everything in shades of yellow",
            "colour it yellow",
            "color the whole photo yellow",
            "make it yelow",
            "as if seen through yellow glass",
            "put a yellow colour wash over the picture",
        ),
        held_out_instructions=(
            "make the image yellow",
            "please add a yellow colour cast",
            "everything should be yellow",
            "a yellow-tinted version",
        ),
        random=False,
        keeps_edges=True,
        apply=_wash(0.8, 0.64, 0.04),
    ),
    Effect(
        name="pink_tint",
        kind="look",
        instructions=(
            "make it pink",
            "pink",
            "tint it pink",
            "add a pink tint",
            "make everything pink",
            "apply a pink filter",
            "give it a pink cast",
            "pink tint",
            "pink filter",
            "turn the whole picture pink",
            "could you tint this pink?",
            "wash it in pink please",
            "I'd like everything in shades of pink",
            "colour it pink",
            "color the whole photo pink",
            "make it pnik",
            "as if lit by pink neon",
            "put a pink colour wash over the picture",
        ),
        held_out_instructions=(
            "make the image pink",
            "please add a pink colour cast",
            "everything should be pink",
            "a pink-tinted version",
        ),
        random=False,
        keeps_edges=True,
        apply=_wash(1.0, 0.44, 0.71),
    ),
)
