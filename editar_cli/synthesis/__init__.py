"""Instruction-edit pairs with a known ground truth, made out of plain photographs.

Each family of effects is one module of this package that defines `EFFECTS`; a new one is its
file and its name in `_FAMILIES`. Here are those of the whole picture; those of a part of it, which
have a mask, are in `editar_cli.synthesis.local`.
"""

from __future__ import annotations

import zlib

import numpy as np

from editar_cli.errors import UsageError
from editar_cli.synthesis import (
    autumn,
    black_and_white,
    blue_hour,
    blur,
    brightness,
    cartoon,
    colourise,
    contrast,
    cyanotype,
    deblur,
    dehaze,
    denoise,
    dreamy,
    drought,
    fog,
    golden_hour,
    infrared,
    linocut,
    lush,
    miniature,
    needless,
    negative,
    neon,
    night,
    overcast,
    painting,
    pastel,
    pixelate,
    pop_art,
    posterize,
    rain,
    relight,
    sandstorm,
    saturation,
    scratches,
    sepia,
    sharpen,
    sketch,
    snow,
    spring,
    storm,
    sunny,
    sunset,
    teal_and_orange,
    temperature,
    thermal,
    tint,
    unchanged,
    underwater,
    unfade,
    vignette,
    vintage,
    watercolour,
    white_balance,
)
from editar_cli.synthesis._effect import Effect, Mask, Pair, Photo
from editar_cli.synthesis._wording import varied

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
    sharpen,
    vignette,
    golden_hour,
    spring,
    drought,
    storm,
    overcast,
    sunny,
    blue_hour,
    cyanotype,
    teal_and_orange,
    posterize,
    infrared,
    sandstorm,
    underwater,
    pixelate,
    watercolour,
    thermal,
    linocut,
    dreamy,
    neon,
    miniature,
    pastel,
    denoise,
    dehaze,
    colourise,
    deblur,
    scratches,
    relight,
    white_balance,
    unfade,
    needless,
)

EFFECTS: dict[str, Effect] = {
    effect.name: effect for family in _FAMILIES for effect in family.EFFECTS
}
"""All effects by name, in a fixed order."""


def effect_names() -> tuple[str, ...]:
    """The names of all effects, in a fixed order."""
    return tuple(EFFECTS)


def make_pair(
    photo: Photo,
    effect: str,
    *,
    seed: int,
    held_out_wording: bool = False,
    varied_wording: bool = False,
) -> Pair:
    """A pair of a photograph (HWC uint8 RGB) and the named effect.

    The photograph is the source, or for a restoration what the edit shows. The instruction is one
    of the training wordings, or of those kept out of training with `held_out_wording`; with
    `varied_wording` half of them are said in yet another way (`_wording`), and never as one of
    those kept out. The same photo, effect and seed give the same pair: the random numbers are the
    same everywhere and pixels agree but for rounding in the last bit. All wordings of one seed show
    the same edit. An unknown effect is a UsageError.
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
    instruction = wordings[int(place * len(wordings))]
    if varied_wording:
        never = {text.casefold() for text in chosen.held_out_instructions}
        instruction = varied(instruction, np.random.default_rng([seed, len(effect)]), never=never)
    plain = np.ascontiguousarray(photo)
    other = chosen.apply(plain, rng)
    source, edited = (other, plain) if chosen.kind == "restoration" else (plain, other)
    mask = np.full(photo.shape[:2], chosen.kind != "identity", np.bool_)
    return Pair(
        source=source,
        edited=edited,
        mask=mask,
        instruction=instruction,
        effect=effect,
    )
