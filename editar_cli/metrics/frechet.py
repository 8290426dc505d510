"""Frechet distance between the features of two sets of pictures; FID with Inception's features.

FID is arXiv 1706.08500 with the network and resizing of its first implementation, as torchmetrics
and torch-fidelity have it. With any other network the figure is a Frechet distance of those
features and must not be called FID.
"""

from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from editar_cli.errors import UsageError
from editar_cli.metrics._weights import MetricMissing

FEATURES = 2048
WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""torch-fidelity's file; torch's cache of the hub holds it once it was downloaded."""


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The distance between normal distributions fitted to two sets of features.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2)`` with means and covariances (n - 1).

    Args:
        first, second: (n, d) and (m, d), two rows or more each.

    Raises:
        UsageError: a set is too small.
    """
    if min(len(first), len(second)) < 2:
        raise UsageError("a Frechet distance needs two pictures or more on each side")
    means = [np.mean(features, axis=0) for features in (first, second)]
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (first, second)]
    # The trace of the root is the sum of the roots of C1 C2's eigenvalues, which are real and not
    # negative but for rounding.
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    roots = np.sqrt(np.clip(eigenvalues.real, 0, None)).sum()
    traces = sum(float(np.trace(covariance)) for covariance in covariances)
    return float(np.sum((means[0] - means[1]) ** 2) + traces - 2 * roots)


class Inception:
    """The network of FID: pictures to 2,048 numbers.

    Args:
        weights: torch-fidelity's file, or ``None`` for torch's cache and download.
        device: where it runs.

    Raises:
        MetricMissing: there are no weights.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        try:
            from torchmetrics.image.fid import NoTrainInceptionV3
        except ImportError as error:
            raise MetricMissing('FID needs torchmetrics: pip install "editar[bench]"') from error
        if weights is not None and not weights.is_file():
            raise MetricMissing(f"{weights}: no such file of Inception's weights")
        try:
            network: nn.Module = NoTrainInceptionV3(
                name="inception-v3-compat",
                features_list=[str(FEATURES)],
                feature_extractor_weights_path=None if weights is None else str(weights),
            )
        except ModuleNotFoundError as error:
            raise MetricMissing('FID needs torch-fidelity: pip install "editar[bench]"') from error
        # Damaged files are told in many ways.
        except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
            raise MetricMissing(
                f"{weights or WEIGHTS}: Inception's weights cannot be had: {error}; put "
                f"torch-fidelity's {WEIGHTS} into torch's hub cache or name it"
            ) from error
        self.network = network.to(device).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(H, W, 3) uint8 -> (2048,)."""
        values = torch.tensor(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
        features: Tensor = self.network(values.to(self.device))
        array: NDArray[np.float64] = features.flatten().cpu().numpy().astype(np.float64)
        return array
