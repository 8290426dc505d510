"""Instruction-edit pairs with a known ground truth, made out of plain photographs.

Each family of effects is one module of this package that defines `EFFECTS`; a new one is its
file and its name in `_FAMILIES`.
"""

from __future__ import annotations

import zlib

import numpy as np

from editar_cli.errors import UsageError
from editar_cli.synthesis import (
    autumn,
    black_and_white,
    blur,
    brightness,
    cartoon,
    contrast,
    fog,
    lush,
    negative,
    night,
    painting,
    pop_art,
    rain,
    saturation,
    sepia,
    sketch,
    snow,
    sunset,
    temperature,
    tint,
    unchanged,
    vintage,
)
from editar_cli.synthesis._effect import Effect, Mask, Pair, Photo

__all__ = ["EFFECTS", "Effect", "Mask", "Pair", "Photo", "effect_names", "make_pair"]

_FAMILIES = (
    snow,
    rain,
    fog,
    night,
    sunset,
    brightness,
    black_and_white,
    sepia,
    temperature,
    autumn,
    lush,
    contrast,
    vintage,
    saturation,
    blur,
    painting,
    sketch,
    cartoon,
    negative,
    tint,
    pop_art,
    unchanged,
)

EFFECTS: dict[str, Effect] = {
    effect.name: effect for family in _FAMILIES for effect in family.EFFECTS
}
"""All effects by name, in a fixed order."""


def effect_names() -> tuple[str, ...]:
    """The names of all effects, in a fixed order."""
    return tuple(EFFECTS)


def make_pair(photo: Photo, effect: str, *, seed: int, held_out_wording: bool = False) -> Pair:
    """Edit a photograph (HWC uint8 RGB) by the named effect.

    The instruction is one of the training wordings, or of those kept out of training with
    `held_out_wording`. The same photo, effect and seed give the same pair: the random numbers
    are the same everywhere and pixels agree but for rounding in the last bit. Both wordings of
    one seed show the same edited picture. An unknown effect is a UsageError.
    """
    if effect not in EFFECTS:
        raise UsageError(f"no effect is called {effect!r}; there are: {', '.join(EFFECTS)}")
    assert photo.dtype == np.uint8
    assert photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape) > 0
    chosen = EFFECTS[effect]
    rng = np.random.default_rng([seed, zlib.crc32(effect.encode())])
    # Drawn before the picture so that both lists of wordings leave the generator alike.
    place = float(rng.random())
    wordings = chosen.held_out_instructions if held_out_wording else chosen.instructions
    source = np.ascontiguousarray(photo)
    edited = chosen.apply(source, rng)
    mask = np.full(photo.shape[:2], chosen.kind != "identity", np.bool_)
    return Pair(
        source=source,
        edited=edited,
        mask=mask,
        instruction=wordings[int(place * len(wordings))],
        effect=effect,
    )
