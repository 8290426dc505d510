"""A small depth network: one picture in, nearness out. Coarse, and two megabytes in size."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DepthConfig:
    """Shape of a depth network.

    Args:
        image_size: side in pixels of the square it was trained on.
        widths: channels at full, half, quarter, ... resolution, multiples of 4.
    """

    image_size: int = 128
    widths: tuple[int, ...] = (16, 32, 48, 80, 112)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        factor = 1 << (len(self.widths) - 1)
        even = self.image_size >= factor and self.image_size % factor == 0
        normed = all(width >= 8 and width % 4 == 0 for width in self.widths)
        if len(self.widths) < 2 or not normed or not even:
            raise ValueError(f"depth network: sizes do not fit together: {self}")


class DepthNetwork(nn.Module):
    """A U-Net that also knows where in the picture it looks: far is mostly up."""

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = nn.Conv2d(5, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.ModuleList([_Block(before, after, stride=2), _Block(after, after)])
            for before, after in pairwise(widths)
        )
        self.up = nn.ModuleList(
            _Block(before + after, after)
            for before, after in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, 1, H, W) float in [0, 1]: 1 nearest, 0 farthest.

        H and W must be divisible by 2 to the number of halvings.
        """
        rows = torch.linspace(-1, 1, pixels.shape[-2], device=pixels.device)
        columns = torch.linspace(-1, 1, pixels.shape[-1], device=pixels.device)
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        x = torch.cat([pixels, places.to(pixels).expand(len(pixels), -1, -1, -1)], dim=1)
        x = self.stem(x)
        seen = []
        for stages in self.down:
            seen.append(x)
            assert isinstance(stages, nn.ModuleList)
            for stage in stages:
                x = stage(x)
        # What kind of picture it is decides what far means in it.
        x = x + x.mean((2, 3), keepdim=True)
        for stage, skip in zip(self.up, reversed(seen), strict=True):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        out: Tensor = torch.sigmoid(self.head(x).float())
        return out


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.norm1 = nn.GroupNorm(4, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.norm2 = nn.GroupNorm(4, after)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm1(self.conv1(x)))
        out: Tensor = F.silu(self.norm2(self.conv2(x)))
        return out
