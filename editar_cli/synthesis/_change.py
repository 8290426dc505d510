"""The record of a local edit, and the words its sentences are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np

from editar_cli.errors import UsageError
from editar_cli.synthesis._effect import (
    KINDS,
    MIN_HELD_OUT_INSTRUCTIONS,
    MIN_INSTRUCTIONS,
    Mask,
    Photo,
)
from editar_cli.synthesis._paint import colour_name
from editar_cli.synthesis._paste import Layer
from editar_cli.synthesis.cutouts import Cutout, Cutouts


@dataclass(frozen=True)
class Change:
    """A source, its edit, where they may differ, and the words that a sentence is filled with."""

    source: Photo
    edited: Photo
    mask: Mask
    words: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class LocalEffect:
    """One family of edits of a part of the picture.

    Sentences are templates with fields in braces, each one of `fields`, which a change has words
    for. It is made in one of two ways: `paste` puts cut-outs into a photograph; `paint` works on
    what the photograph shows and gives `None` where it shows nothing of the kind.
    """

    name: str
    kind: str
    fields: frozenset[str]
    instructions: tuple[str, ...]
    held_out_instructions: tuple[str, ...]
    paste: Callable[[Photo, Cutouts, np.random.Generator], Change] | None = None
    paint: Callable[[Photo, np.random.Generator], Change | None] | None = None

    def __post_init__(self) -> None:
        if (self.paste is None) == (self.paint is None):
            raise ValueError(f"effect {self.name}: must have either paste or paint")
        if self.kind not in KINDS:
            raise ValueError(f"effect {self.name}: kind {self.kind!r} is none of {KINDS}")
        if len(self.instructions) < MIN_INSTRUCTIONS:
            raise ValueError(f"effect {self.name}: fewer than {MIN_INSTRUCTIONS} instructions")
        if len(self.held_out_instructions) < MIN_HELD_OUT_INSTRUCTIONS:
            raise ValueError(
                f"effect {self.name}: fewer than {MIN_HELD_OUT_INSTRUCTIONS} held-out instructions"
            )
        for template in self.instructions + self.held_out_instructions:
            used = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
            if not used or not used <= self.fields:
                raise ValueError(f"effect {self.name}: {template!r} has fields {sorted(used)}")

    @property
    def needs_cutouts(self) -> bool:
        """Whether it is made with cut-outs."""
        return self.paste is not None

    def change(
        self, photo: Photo, cutouts: Cutouts | None, rng: np.random.Generator
    ) -> Change | None:
        """One change of the photograph (HWC uint8 RGB), or `None` where it does not apply.

        Raises:
            UsageError: it needs cut-outs and there are none.
        """
        if self.paint is not None:
            return self.paint(photo, rng)
        assert self.paste is not None
        if cutouts is None:
            raise UsageError(f"effect {self.name}: needs cut-outs")
        return self.paste(photo, cutouts, rng)


def with_article(noun: str, *, plural: bool = False, adjective: str = "") -> str:
    """ "a dog", "an old shoe", "some red grapes"."""
    phrase = f"{adjective} {noun}".strip()
    if plural:
        return f"some {phrase}"
    starts = phrase.casefold()
    vowel = starts[0] in "aeiou" and not starts.startswith(("uni", "eu", "use", "ukulele"))
    return f"{'an' if vowel or starts.startswith('hour') else 'a'} {phrase}"


def distinct(cutout: Cutout, others: Sequence[Cutout]) -> bool:
    """Whether no word of its name is in another's, so that a sentence can mean only one."""
    words = set(cutout.noun.casefold().split()) - {"of"}
    return not any(words & set(other.noun.casefold().split()) for other in others)


def described(cutout: Cutout, layer: Layer, others: Sequence[Layer], draw: float) -> str:
    """What the thing may be called in a sentence, without an article.

    Mostly its name; for some draws (in [0, 1)) with its colour before it or its place behind it,
    where these are beyond doubt.
    """
    if draw < 0.15 and (colour := colour_name(cutout)) and colour not in cutout.noun.split():
        return f"{colour} {cutout.noun}"
    if draw > 0.8:
        x = layer.centre[0]
        others_x = [other.centre[0] for other in others]
        if x < 0.4 and all(x < other - 0.1 for other in others_x):
            return f"{cutout.noun} on the left"
        if x > 0.6 and all(x > other + 0.1 for other in others_x):
            return f"{cutout.noun} on the right"
    return cutout.noun
