"""Distillation from an image teacher (EditAR section 3.2).

A teacher is a timm network; its last feature map of the target picture is what the transformer's
hidden states, through the one-convolution adapter, are asked to predict.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editar_cli.errors import TrainingError

# timm name, side of the picture the teacher is given.
TEACHERS = {"dinov2-base": ("vit_base_patch14_dinov2.lvd142m", 224)}


class Teacher(nn.Module):
    """Frozen features of target pictures."""

    mean: Tensor
    std: Tensor
    network: Any

    def __init__(self, name: str, weights: Path | None = None) -> None:
        """Build a teacher.

        Args:
            name: a name of ``TEACHERS`` or any timm model.
            weights: a local weight file; ``None`` takes timm's own from the hub or its cache.

        Raises:
            TrainingError: the model is not known or its weights are not at hand.
        """
        super().__init__()
        import timm
        from timm.data.config import resolve_data_config

        model_name, self.size = TEACHERS.get(name, (name, 224))
        options: dict[str, Any] = (
            {"checkpoint_path": str(weights)} if weights else {"pretrained": True}
        )
        # Vision transformers fix their input size when they are built.
        if "vit" in model_name:
            options["img_size"] = self.size
        try:
            self.network = timm.create_model(model_name, num_classes=0, **options)
        except Exception as error:  # timm and the hub raise many kinds; each means the same here
            raise TrainingError(
                f"teacher {name}: cannot be loaded ({error}); give its weights as a file, or set "
                "distillation_weight = 0"
            ) from error
        settings = resolve_data_config({}, model=self.network)  # type: ignore[no-untyped-call]
        self.register_buffer("mean", torch.tensor(settings["mean"])[:, None, None])
        self.register_buffer("std", torch.tensor(settings["std"])[:, None, None])
        self.eval().requires_grad_(False)

    @property
    def dim(self) -> int:
        """Channels of the features."""
        return int(self.network.num_features)

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, dim, h, w), class and register tokens left out.

        Resized as the published preprocessing does: side 256/224 of the input, centre crop.
        """
        side = self.size * 256 // 224
        x = F.interpolate(
            (pixels + 1) / 2, (side, side), mode="bicubic", antialias=True, align_corners=False
        ).clamp(0, 1)
        margin = (side - self.size) // 2
        x = x[..., margin : margin + self.size, margin : margin + self.size]
        features: Tensor = self.network.forward_features((x - self.mean) / self.std)
        if features.ndim == 4:
            return features
        patches: Tensor = features[:, self.network.num_prefix_tokens :]
        grid = int(patches.shape[1] ** 0.5)
        return patches.transpose(1, 2).reshape(len(patches), -1, grid, grid)


def distillation_mse(features: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error of adapter features against teacher features.

    Args:
        features: (B, C, h, w) adapter output; resized to the teacher's grid where they differ
            (bilinear, antialiased, corners not aligned).
        teacher: (B, C, h', w').
    """
    if features.shape[-2:] != teacher.shape[-2:]:
        features = F.interpolate(
            features, teacher.shape[-2:], mode="bilinear", antialias=True, align_corners=False
        )
    return F.mse_loss(features.float(), teacher.float())
