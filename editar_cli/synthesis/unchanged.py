"""Identity: instructions that ask for nothing, answered with the source itself."""

from __future__ import annotations

import numpy as np

from editar_cli.synthesis._effect import Effect, Photo


def _apply(photo: Photo, rng: np.random.Generator) -> Photo:
    del rng
    return photo.copy()


EFFECTS = (
    Effect(
        name="unchanged",
        kind="identity",
        instructions=(
            "leave it as it is",
            "do nothing",
            "keep the photo unchanged",
            "change nothing",
            "no changes",
            "no edit",
            "keep it the same",
            "don't change anything",
            "leave the image alone",
            "return the same picture",
            "please leave it untouched",
            "could you keep it exactly as it is?",
            "nothing to do here",
            "keep everything as it was",
            "the photo is fine, just leave it be",
            "same image",
            "dont touch it",
            "just give me back the original",
        ),
        held_out_instructions=(
            "leave the photo as is",
            "please do not edit this",
            "keep the original picture",
            "make no changes at all",
        ),
        random=False,
        keeps_edges=True,
        apply=_apply,
    ),
)
