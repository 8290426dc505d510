"""Figures that compare pixels: mean squared error, PSNR, SSIM; whole pictures or a part.

Of a part, both pictures are set to zero outside it and means still run over all pixels, as
PIE-Bench does (arXiv 2310.01506): a small part thus scores better than a large one as good.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from editar_cli.errors import ImageError


@dataclass(frozen=True, kw_only=True)
class PixelFigures:
    """Figures of one pair of pictures with values in [0, 1].

    Args:
        mse: mean squared error.
        psnr: peak signal-to-noise ratio in dB; infinite for equal pictures.
        ssim: structural similarity, Gaussian window of 11 pixels, sigma 1.5.
    """

    mse: float
    psnr: float
    ssim: float


def compare_pixels(
    source: NDArray[np.uint8], output: NDArray[np.uint8], part: NDArray[np.bool_] | None = None
) -> PixelFigures | None:
    """Compare two pictures as torchmetrics does.

    Args:
        source, output: (H, W, 3) uint8 in [0, 255] of one size, 11 pixels a side or more.
        part: (H, W) bool, what is compared; everything where left out.

    Returns:
        The figures, or ``None`` where the part is empty.

    Raises:
        ImageError: the sizes differ or are too small.
    """
    from torchmetrics.functional.image import (
        peak_signal_noise_ratio,
        structural_similarity_index_measure,
    )

    if source.shape != output.shape:
        raise ImageError(
            f"a picture of {output.shape[1]}x{output.shape[0]} cannot be compared with one of "
            f"{source.shape[1]}x{source.shape[0]}"
        )
    if min(source.shape[:2]) < 11:
        raise ImageError("pictures under 11 pixels a side cannot be compared by SSIM")
    if part is not None and not part.any():
        return None
    first, second = (_unit(pixels, part) for pixels in (source, output))
    similarity = structural_similarity_index_measure(second, first, data_range=1.0)
    assert isinstance(similarity, torch.Tensor)
    return PixelFigures(
        mse=float(torch.mean((first - second) ** 2)),
        psnr=float(peak_signal_noise_ratio(second, first, data_range=1.0)),
        ssim=float(similarity),
    )


def _unit(pixels: NDArray[np.uint8], part: NDArray[np.bool_] | None) -> torch.Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [0, 1], zero outside the part."""
    values = torch.tensor(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
    return values if part is None else values * torch.tensor(np.ascontiguousarray(part))
