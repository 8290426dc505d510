"""How well two edge maps agree: F1 and structural similarity, as ControlNet++ evaluates them.

F1 counts a pixel as an edge or none and forgives nothing. ControlNet++ (arXiv 2404.07987) computes
the multi-scale form of SSIM (Wang, Simoncelli and Bovik 2003) where its tables say SSIM.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from editar_cli.errors import ImageError

EDGE = 127
"""Above it a pixel is an edge."""
_LEAST = 176
"""Pixels a side that five scales of the window need."""


@dataclass(frozen=True, kw_only=True)
class EdgeFigures:
    """Figures of one pair of edge maps, each in [0, 1].

    Args:
        f1: of edge pixels; 0 where only one of the maps has edges, and where neither has.
        ssim: structural similarity, Gaussian window of 11 pixels, sigma 1.5.
        ms_ssim: the same at five scales; ``None`` under 176 pixels a side.
    """

    f1: float
    ssim: float
    ms_ssim: float | None


def compare_edges(given: NDArray[np.uint8], made: NDArray[np.uint8]) -> EdgeFigures:
    """Compare two edge maps as torchmetrics does.

    Args:
        given, made: (H, W) uint8 of one size, 11 pixels a side or more, white on black.

    Raises:
        ImageError: the sizes differ or are too small.
    """
    from torchmetrics.functional.classification import binary_f1_score
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure,
        structural_similarity_index_measure,
    )

    if given.shape != made.shape:
        raise ImageError(
            f"an edge map of {made.shape[1]}x{made.shape[0]} cannot be compared with one of "
            f"{given.shape[1]}x{given.shape[0]}"
        )
    if min(given.shape) < 11:
        raise ImageError("edge maps under 11 pixels a side cannot be compared by SSIM")
    first, second = (
        torch.tensor(np.ascontiguousarray(pixels))[None, None].float() / 255
        for pixels in (given, made)
    )
    ssim = structural_similarity_index_measure(second, first, data_range=1.0)
    several = None
    if min(given.shape) >= _LEAST:
        several = float(
            multiscale_structural_similarity_index_measure(second, first, data_range=1.0)
        )
    assert isinstance(ssim, torch.Tensor)
    f1 = binary_f1_score(torch.tensor(made > EDGE), torch.tensor(given > EDGE))
    return EdgeFigures(f1=float(f1), ssim=float(ssim), ms_ssim=several)
