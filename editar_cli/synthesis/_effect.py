"""The two records of this package: an effect and the pair made with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Photo = npt.NDArray[np.uint8]
"""A picture, HWC, RGB, 0 to 255."""

Mask = npt.NDArray[np.bool_]
"""A region of a picture, HW."""

MIN_INSTRUCTIONS = 14
MIN_HELD_OUT_INSTRUCTIONS = 4
KINDS = ("look", "identity", "colour", "object", "restoration")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One instruction family with an exactly known result.

    `apply` takes a picture and a random generator and returns the edited picture, same shape.
    Of the kind "restoration" it is the damage, and the pair runs backwards: the damaged picture is
    the source and the photograph what is asked for. `random` says that the edited picture has
    random content (flakes, stars), so that a judge should compare with several draws. `keeps_edges`
    is False where the source's edges are not meant to survive (blur, sketch, painting).
    """

    name: str
    kind: str
    instructions: tuple[str, ...]
    held_out_instructions: tuple[str, ...]
    random: bool
    keeps_edges: bool
    apply: Callable[[Photo, np.random.Generator], Photo]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"effect {self.name}: kind {self.kind!r} is none of {KINDS}")
        if len(self.instructions) < MIN_INSTRUCTIONS:
            raise ValueError(f"effect {self.name}: fewer than {MIN_INSTRUCTIONS} instructions")
        if len(self.held_out_instructions) < MIN_HELD_OUT_INSTRUCTIONS:
            raise ValueError(
                f"effect {self.name}: fewer than {MIN_HELD_OUT_INSTRUCTIONS} held-out instructions"
            )


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A source picture, an instruction and the picture the instruction asks for.

    `mask` (HW, bool) is True where the edit may change the source.
    """

    source: Photo
    edited: Photo
    mask: Mask
    instruction: str
    effect: str

    def __post_init__(self) -> None:
        assert self.source.shape == self.edited.shape
        assert self.mask.shape == self.source.shape[:2]
