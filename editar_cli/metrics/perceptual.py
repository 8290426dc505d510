"""LPIPS, a learned perceptual distance (arXiv 1801.03924), with SqueezeNet as PIE-Bench has it."""

from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from editar_cli.metrics._weights import MetricMissing

BACKBONE = "squeezenet1_1-b8a52dc0.pth"
"""torchvision's file of the backbone; torch's cache of the hub holds it once it was downloaded."""


class Lpips:
    """The distance between two pictures as torchmetrics computes it.

    Args:
        weights: file of torchvision's SqueezeNet 1.1, or ``None`` for torch's cache and download.
            The few weights on top of it come with torchmetrics.
        device: where it runs.

    Raises:
        MetricMissing: there are no weights.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        try:
            from torchmetrics.functional.image.lpips import _LPIPS
            from torchvision.models import squeezenet1_1
        except ImportError as error:
            raise MetricMissing(
                f'LPIPS needs torchmetrics and torchvision ({error}): pip install "editar[bench]"'
            ) from error
        backbone = squeezenet1_1(weights=None)
        try:
            backbone.load_state_dict(_backbone(weights))
        except RuntimeError as error:
            raise MetricMissing(f"{weights}: is no SqueezeNet 1.1: {error}") from error
        network: nn.Module = _LPIPS(pretrained=True, net="squeeze", pnet_rand=True)
        slices = network.get_submodule("net")
        # There layer 3 is "slices.1.3", here "features.3".
        layers = backbone.state_dict()
        slices.load_state_dict(
            {name: layers[f"features.{name.split('.', 2)[2]}"] for name in slices.state_dict()}
        )
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = device

    @torch.inference_mode()
    def __call__(
        self,
        source: NDArray[np.uint8],
        output: NDArray[np.uint8],
        part: NDArray[np.bool_] | None = None,
    ) -> float | None:
        """The distance; 0 for equal pictures. Tables print it times 1000.

        Args:
            source, output: (H, W, 3) uint8 of one size, 32 pixels a side or more.
            part: (H, W) bool, what is compared: the rest of both is set to zero in [0, 1].

        Returns:
            The distance, or ``None`` where the part is empty.
        """
        if part is not None and not part.any():
            return None
        first, second = (self._input(pixels, part) for pixels in (source, output))
        return float(self.network(first, second).squeeze())

    def _input(self, pixels: NDArray[np.uint8], part: NDArray[np.bool_] | None) -> Tensor:
        """(H, W, 3) uint8 -> (1, 3, H, W) in [-1, 1]; what is outside the part is -1."""
        values = torch.tensor(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
        if part is not None:
            values = values * torch.tensor(np.ascontiguousarray(part))
        return (values * 2 - 1).to(self.device)


def _backbone(weights: Path | None) -> dict[str, Tensor]:
    if weights is None:
        file = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE
        if not file.is_file():
            from torchvision.models import SqueezeNet1_1_Weights

            try:
                found: dict[str, Tensor] = SqueezeNet1_1_Weights.DEFAULT.get_state_dict(
                    progress=False, check_hash=True
                )
            except (OSError, RuntimeError) as error:
                raise MetricMissing(
                    f"{file}: not here and cannot be downloaded ({error}); put torchvision's file "
                    "there or name it"
                ) from error
            return found
        weights = file
    try:
        state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise MetricMissing(f"{weights}: no weights that can be read: {error}") from error
    return state
