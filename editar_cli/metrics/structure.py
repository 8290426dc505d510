"""Structure distance: how far the layout of a picture moved, whatever its look became.

Splice's self-similarity of a vision transformer's keys (arXiv 2201.00424) in the form in which
PIE-Bench and the published tables have it (arXiv 2310.01506).
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from editar_cli.metrics._weights import timm_network

NETWORK = "vit_base_patch8_224.dino"
_SIDE = 224
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class StructureDistance:
    """Mean squared difference of two pictures' self-similarities.

    Args:
        weights: a file of the network's weights under timm's names, or ``None`` for the hub's.
        device: where it runs.

    Raises:
        MetricMissing: there are no weights.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        self.network = timm_network(NETWORK, weights).to(device)
        self.device = device
        self._kept: list[Tensor] = []
        # The last block's queries, keys and values, before they are parted into heads.
        last = self.network.get_submodule("blocks")[-1]  # type: ignore[index]
        last.get_submodule("attn.qkv").register_forward_hook(self._keep)

    @torch.inference_mode()
    def __call__(self, source: NDArray[np.uint8], output: NDArray[np.uint8]) -> float:
        """The distance between two pictures, (H, W, 3) uint8 each of any size; 0 for equal ones.

        Tables print it times 1000.
        """
        difference = self._similarity(source) - self._similarity(output)
        return float(torch.mean(difference**2))

    def _similarity(self, pixels: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 -> (n, n): cosines between the keys of all tokens, the class one too."""
        values = (
            torch.tensor(np.ascontiguousarray(pixels))
            .permute(2, 0, 1)[None]
            .float()
            .to(self.device)
        )
        # Resized in 0..255 and then normalised with the mean and deviation of 0..1: unusual, but
        # the published figures were made so.
        small = F.interpolate(values, (_SIDE, _SIDE), mode="bilinear", antialias=True)
        mean, std = (
            torch.tensor(triple, device=self.device)[:, None, None] for triple in (_MEAN, _STD)
        )
        forward = cast(Callable[[Tensor], Tensor], self.network.forward_features)
        forward((small - mean) / std)
        keys = F.normalize(self._kept.pop()[0], dim=1)
        return keys @ keys.T

    def _keep(self, layer: nn.Module, inputs: object, result: Tensor) -> None:
        width = result.shape[-1] // 3
        self._kept.append(result[..., width : 2 * width])
