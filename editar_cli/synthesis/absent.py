"""Sentences about a thing that is not there: the picture stays as it is."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis import _regions as regions
from editar_cli.synthesis import removal, replacement
from editar_cli.synthesis._change import Change, LocalEffect, distinct, with_article
from editar_cli.synthesis._effect import Mask, Photo
from editar_cli.synthesis._paint import COLOURS
from editar_cli.synthesis._paste import lay, over, random_spot
from editar_cli.synthesis._sentences import (
    HELD_OUT_RECOLOURING,
    RECOLOURING,
    RECOLOURING_FIELDS,
)
from editar_cli.synthesis.cutouts import Cutout, Cutouts

_BYSTANDER = 0.5
"""How often another thing stands there, which the sentence must not be taken for."""

_REGION = 0.3
"""How often the sentence is about grass or water, where it is certain that there is none."""

_MAY_BE_THERE = frozenset(
    """
tree, palm tree, fir tree, cactus, house, castle, church, temple, tower, statue, gate, tent, boat,
ship, sailboat, motorboat, rowing boat, cruise ship, cloud, rain cloud, storm cloud, sun, moon,
star, rainbow, fire, rock, leaves, daisy, clover, potted plant, seedling, sign, person, bridge,
brick wall, log, volcano, snowflake, planet, comet, fish, tropical fish, shark, coral, bird, rose,
tulip, sunflower, mushroom, hammer, wrench, scissors, knife, spoon, chair, cup, teacup, plate,
bucket, frying pan, light bulb, panda, koala, crocodile, dragon, parrot, polar bear, lizard, moose,
bear, football, volleyball, baseball, screwdriver, saw, bowl, fork, fountain, sheaf of rice
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""What a photograph may show by itself, so that the sentence could be about that."""

_TRIES = 12


def _missing(cutouts: Cutouts, rng: np.random.Generator) -> Cutout:
    for _ in range(_TRIES):
        cutout = cutouts.show(rng)
        if cutout.noun not in _MAY_BE_THERE:
            break
    return cutout


def _apply(photo: Photo, cutouts: Cutouts, rng: np.random.Generator) -> Change:
    picture = px.to_unit(photo)
    missing = _missing(cutouts, rng)
    new = cutouts.draw(rng)
    region, bystander, colour_draw = (float(rng.random()) for _ in range(3))
    other = cutouts.show(rng)
    source = photo
    if bystander < _BYSTANDER and distinct(other, [missing]):
        source = over(picture, [lay(picture, other, random_spot(other, rng))])
    noun = missing.noun
    absent_regions = _absent_regions(picture) if region < _REGION else []
    if absent_regions:
        noun = absent_regions[int(region / _REGION * len(absent_regions))]
    colours = list(COLOURS)
    nothing: Mask = np.zeros(photo.shape[:2], np.bool_)
    return Change(
        source,
        source.copy(),
        nothing,
        {
            "thing": noun,
            "noun": noun,
            "colour": colours[int(colour_draw * len(colours))],
            "old": noun,
            "old_noun": noun,
            "new": with_article(new.noun, plural=new.plural),
            "new_noun": new.noun,
        },
    )


def _absent_regions(picture: px.Array) -> list[str]:
    found = ["grass", "meadow", "lawn"] if regions.is_bare(picture) else []
    return [*found, *(["sea", "lake", "river"] if regions.is_dry(picture) else [])]


_REMOVAL, _REPLACEMENT = removal.EFFECTS[0], replacement.EFFECTS[0]

EFFECTS = (
    LocalEffect(
        name="absent",
        kind="identity",
        fields=RECOLOURING_FIELDS | _REMOVAL.fields | _REPLACEMENT.fields,
        instructions=RECOLOURING + _REMOVAL.instructions + _REPLACEMENT.instructions,
        held_out_instructions=(
            HELD_OUT_RECOLOURING
            + _REMOVAL.held_out_instructions
            + _REPLACEMENT.held_out_instructions
        ),
        paste=_apply,
    ),
)
