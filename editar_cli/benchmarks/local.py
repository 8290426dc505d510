"""Edits of a part of the picture judged: nearer to the truth there, and nothing else touched.

A cut-out stands on a photograph or is asked for, or a part that was found by its hue and place
changes its colour; the true edit differs from the source inside a known mask alone. Inside, the
distance of two pictures is the CIE76 delta E of their pixels, averaged over the mask; the output
may be nearer to the truth than the unedited source is, or not. Outside, truth and source are one,
and the output's PSNR with them says how well it left them alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from editar_cli.synthesis import Mask, Pair, Photo

MOST_DECIBELS = 100.0
"""PSNR where nothing differs."""

HEADERS = ("local family", "edits", "nearer", "median ratio", "PSNR outside")


@dataclass(frozen=True, kw_only=True)
class LocalRow:
    """One edit of a part.

    Args:
        photo: name of the photograph it is on.
        family: the effect.
        instruction: the sentence.
        seed: of the codes.
        share: of the picture that the mask covers.
        source_inside, output_inside: distance to the truth inside the mask, delta E.
        psnr_outside: of output and truth outside it, dB; `None` where there is no outside.
    """

    photo: str
    family: str
    instruction: str
    seed: int
    share: float
    source_inside: float
    output_inside: float
    psnr_outside: float | None

    @property
    def nearer(self) -> bool:
        """Whether the output is nearer to the truth than the source."""
        return self.output_inside < self.source_inside


@dataclass(frozen=True, kw_only=True)
class LocalFamily:
    """One local effect over all photographs.

    Args:
        family: the effect.
        edits: how many were judged.
        nearer: share of them whose output is nearer to the truth than the source.
        median_ratio: of output_inside over source_inside: 0 is perfect, 1 no better than nothing.
        psnr_outside: median, dB; `None` where no edit has an outside.
    """

    family: str
    edits: int
    nearer: float
    median_ratio: float
    psnr_outside: float | None


def inside(first: Photo, second: Photo, mask: Mask) -> float:
    """Mean CIE76 delta E of two HWC uint8 RGB pictures over a mask that is not empty."""
    import cv2

    both = [
        np.asarray(cv2.cvtColor((p / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB))
        for p in (first, second)
    ]
    return float(np.linalg.norm(both[0] - both[1], axis=2)[mask].mean())


def psnr(first: Photo, second: Photo, mask: NDArray[np.bool_]) -> float | None:
    """PSNR in dB over a mask, at most `MOST_DECIBELS`; `None` where it is empty."""
    if not mask.any():
        return None
    error = float(((first.astype(np.float64) - second)[mask] ** 2).mean())
    return MOST_DECIBELS if error == 0 else min(MOST_DECIBELS, 10 * np.log10(255**2 / error))


def judge_local(photo: str, pair: Pair, seed: int, output: Photo) -> LocalRow:
    """The figures of one output."""
    return LocalRow(
        photo=photo,
        family=pair.effect,
        instruction=pair.instruction,
        seed=seed,
        share=float(pair.mask.mean()),
        source_inside=inside(pair.source, pair.edited, pair.mask),
        output_inside=inside(output, pair.edited, pair.mask),
        psnr_outside=psnr(output, pair.edited, ~pair.mask),
    )


def summarise_local(family: str, rows: Sequence[LocalRow]) -> LocalFamily:
    """The figures of one effect over its rows, at least one."""
    outside = [row.psnr_outside for row in rows if row.psnr_outside is not None]
    ratios = [row.output_inside / max(row.source_inside, 1e-6) for row in rows]
    return LocalFamily(
        family=family,
        edits=len(rows),
        nearer=float(np.mean([row.nearer for row in rows])),
        median_ratio=float(np.median(ratios)),
        psnr_outside=float(np.median(outside)) if outside else None,
    )


def local_table(families: Sequence[LocalFamily]) -> list[tuple[str, ...]]:
    """The families as text under `HEADERS`."""
    return [
        (
            family.family,
            str(family.edits),
            f"{100 * family.nearer:.0f} %",
            f"{family.median_ratio:.2f}",
            "-" if family.psnr_outside is None else f"{family.psnr_outside:.1f} dB",
        )
        for family in families
    ]
