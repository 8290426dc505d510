"""Replacement: another thing stands where one stood."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis import _pixels as px
from editar_cli.synthesis._change import Change, LocalEffect, described, distinct, with_article
from editar_cli.synthesis._effect import Photo
from editar_cli.synthesis._paste import beside, lay, over, random_spot
from editar_cli.synthesis.cutouts import Cutout, Cutouts

_SECOND = 0.3
_TRIES = 12


def _another(old: Cutout, cutouts: Cutouts, rng: np.random.Generator) -> Cutout:
    """A thing of another name that would stand, or fly, where the old one does."""
    for _ in range(_TRIES):
        new = cutouts.draw(rng)
        if distinct(new, [old]) and new.airborne == old.airborne:
            return new
    others = [cutout for cutout in cutouts.drawn if cutout.noun != old.noun]
    others = [cutout for cutout in others if cutout.airborne == old.airborne] or others
    return others[int(rng.integers(len(others)))]


def _apply(photo: Photo, cutouts: Cutouts, rng: np.random.Generator) -> Change:
    picture = px.to_unit(photo)
    old = cutouts.show(rng)
    spot = random_spot(old, rng)
    new = _another(old, cutouts, rng)
    before, after = lay(picture, old, spot), lay(picture, new, spot)
    second, draw = float(rng.random()), float(rng.random())
    rest = []
    if second < _SECOND and distinct(other := cutouts.show(rng), [old, new]):
        companion = beside(picture, other, [before, after], rng)
        rest = [] if companion is None else [companion]
    return Change(
        over(picture, [*rest, before]),
        over(picture, [*rest, after]),
        before.mask | after.mask,
        {
            "old": described(old, before, rest, draw),
            "old_noun": old.noun,
            "new": with_article(new.noun, plural=new.plural),
            "new_noun": new.noun,
        },
    )


EFFECTS = (
    LocalEffect(
        name="replacement",
        kind="object",
        fields=frozenset({"old", "old_noun", "new", "new_noun"}),
        instructions=(
            "replace the {old} with {new}",
            "replace {old_noun} with {new_noun}",
            "{old_noun} to {new_noun}",
            "turn the {old} into {new}",
            "swap the {old} for {new}",
            "change the {old} to {new}",
            "change the {old} into {new}",
            "exchange the {old} for {new}",
            "make the {old} {new}",
            "{new} instead of the {old}",
            "put {new} in place of the {old}",
            "please replace the {old} by {new}",
            "the {old} should become {new}",
            "I'd rather have {new} than the {old}",
            "could you turn the {old} into {new}?",
            "take the {old} away and put {new} there",
            "transform the {old} into {new}",
            "repalce the {old} with {new}",
        ),
        held_out_instructions=(
            "swap the {old} with {new}",
            "I want {new} where there's the {old}",
            "let the {old} be {new}",
            "substitute {new} for the {old}",
            "please change the {old} into {new}",
        ),
        paste=_apply,
    ),
)
