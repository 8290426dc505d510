"""Needless: repairs asked of a photograph that has nothing to repair leave it alone."""

from __future__ import annotations

from editar_cli.synthesis import colourise, deblur, denoise, scratches, unchanged
from editar_cli.synthesis._effect import Effect

# Not haze, exposure and faded colours: photographs may well have a little of those.
_REPAIRS = tuple(
    effect for family in (denoise, colourise, deblur, scratches) for effect in family.EFFECTS
)

EFFECTS = (
    Effect(
        name="needless",
        kind="identity",
        instructions=tuple(text for effect in _REPAIRS for text in effect.instructions),
        held_out_instructions=tuple(
            text for effect in _REPAIRS for text in effect.held_out_instructions
        ),
        random=False,
        keeps_edges=True,
        apply=unchanged.EFFECTS[0].apply,
    ),
)
