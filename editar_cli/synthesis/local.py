"""Local edits: things that go, come, give way to others or change their colour.

Their things are cut-outs pasted onto photographs, so that the edit is known exactly and touches
nothing outside its mask. A family is one module that defines `EFFECTS`; a new one is its file and
its name in `_FAMILIES`.
"""

from __future__ import annotations

import zlib

import numpy as np

from editar_cli.errors import UsageError
from editar_cli.synthesis import addition, recolour, removal, replacement
from editar_cli.synthesis._change import LocalEffect
from editar_cli.synthesis._effect import Pair, Photo
from editar_cli.synthesis.cutouts import Cutouts

_FAMILIES = (removal, addition, replacement, recolour)

LOCAL_EFFECTS: dict[str, LocalEffect] = {
    effect.name: effect for family in _FAMILIES for effect in family.EFFECTS
}
"""All local effects by name, in a fixed order."""


def make_local_pair(
    photo: Photo, effect: str, cutouts: Cutouts, *, seed: int, held_out_wording: bool = False
) -> Pair:
    """A local edit on a photograph (HWC uint8 RGB), by the named effect.

    Unlike a look's, its source is not always the photograph: things may have been put on it.
    Otherwise as `make_pair`: the same arguments give the same pair, and both wordings of one seed
    show the same edit. An unknown effect is a UsageError.
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
    change = chosen.apply(np.ascontiguousarray(photo), cutouts, rng)
    return Pair(
        source=change.source,
        edited=change.edited,
        mask=change.mask,
        instruction=wordings[int(place * len(wordings))].format(**change.words),
        effect=effect,
    )
