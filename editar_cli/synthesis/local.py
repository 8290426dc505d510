"""Local edits: things that go, come, give way to others, and parts that change their colour.

Things are cut-outs pasted onto photographs and parts are found by their hue, place and texture, so
that the edit is known exactly and touches nothing outside its mask. A family is one module that
defines `EFFECTS`; a new one is its file and its name in `_FAMILIES`.
"""

from __future__ import annotations

import zlib

import numpy as np

from editar_cli.errors import UsageError
from editar_cli.synthesis import (
    absent,
    addition,
    greenery_colour,
    recolour,
    removal,
    replacement,
    sky_colour,
    swapped_colour,
    water_colour,
)
from editar_cli.synthesis._change import LocalEffect
from editar_cli.synthesis._effect import Pair, Photo
from editar_cli.synthesis._wording import varied
from editar_cli.synthesis.cutouts import Cutouts

_FAMILIES = (
    removal,
    addition,
    replacement,
    recolour,
    sky_colour,
    greenery_colour,
    water_colour,
    swapped_colour,
    absent,
)

LOCAL_EFFECTS: dict[str, LocalEffect] = {
    effect.name: effect for family in _FAMILIES for effect in family.EFFECTS
}
"""All local effects by name, in a fixed order."""


def local_names(*, cutouts: bool) -> tuple[str, ...]:
    """The names of all local effects, or of those that can be made without cut-outs."""
    return tuple(
        name for name, effect in LOCAL_EFFECTS.items() if cutouts or not effect.needs_cutouts
    )


def make_local_pair(
    photo: Photo,
    effect: str,
    cutouts: Cutouts | None,
    *,
    seed: int,
    held_out_wording: bool = False,
    varied_wording: bool = False,
) -> Pair | None:
    """A local edit on a photograph (HWC uint8 RGB), by the named effect.

    Unlike a look's, its source is not always the photograph: things may have been put on it. `None`
    where the photograph does not show what the effect changes. Otherwise as `make_pair`: the same
    arguments give the same pair, and all wordings of one seed show the same edit.

    Raises:
        UsageError: an unknown effect, or one that needs cut-outs without them.
    """
    if effect not in LOCAL_EFFECTS:
        there = ", ".join(LOCAL_EFFECTS)
        raise UsageError(f"no local effect is called {effect!r}; there are: {there}")
    assert photo.dtype == np.uint8
    assert photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape) > 0
    chosen = LOCAL_EFFECTS[effect]
    rng = np.random.default_rng([seed, zlib.crc32(effect.encode())])
    # Drawn before the picture so that both lists of wordings leave the generator alike.
    place = float(rng.random())
    wordings = chosen.held_out_instructions if held_out_wording else chosen.instructions
    change = chosen.change(np.ascontiguousarray(photo), cutouts, rng)
    if change is None:
        return None
    instruction = wordings[int(place * len(wordings))].format(**change.words)
    if varied_wording:
        never = {text.format(**change.words).casefold() for text in chosen.held_out_instructions}
        instruction = varied(instruction, np.random.default_rng([seed, len(effect)]), never=never)
    return Pair(
        source=change.source,
        edited=change.edited,
        mask=change.mask,
        instruction=instruction,
        effect=effect,
    )
