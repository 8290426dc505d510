"""CLIP score: how well a picture fits a sentence (arXiv 2104.08718), 100 times the cosine.

PIE-Bench takes it of the whole output and of the output with everything but the edited part set to
zero, with ViT-L/14 and 8-bit pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from editar_cli.metrics._weights import MetricMissing

NETWORK = "openai/clip-vit-large-patch14"


class ClipScore:
    """A CLIP network that compares pictures with sentences.

    Args:
        weights: a folder as transformers saves it, the name of one on the hub, or ``None`` for
            ViT-L/14.
        device: where it runs.
        local_only: download nothing.

    Raises:
        MetricMissing: there are no weights.
    """

    def __init__(
        self,
        weights: Path | str | None = None,
        device: str = "cpu",
        *,
        local_only: bool = False,
    ) -> None:
        name = str(weights or NETWORK)
        try:
            from transformers import CLIPModel, CLIPProcessor
        except ImportError as error:
            raise MetricMissing('transformers is missing: pip install "editar[bench]"') from error
        try:
            model: Any = CLIPModel.from_pretrained(name, local_files_only=local_only)
            self.processor: Any = CLIPProcessor.from_pretrained(name, local_files_only=local_only)
        except (OSError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise MetricMissing(f"{name}: no CLIP here and none can be downloaded: {first}") from (
                error
            )
        self.model = model.to(device).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(
        self,
        pixels: NDArray[np.uint8],
        sentence: str,
        part: NDArray[np.bool_] | None = None,
    ) -> float | None:
        """The score of a picture, below 100; negative cosines count as 0.

        Args:
            pixels: (H, W, 3) uint8.
            sentence: longer ones are cut where the network's text ends.
            part: (H, W) bool, what of the picture is looked at; all where left out.

        Returns:
            The score, or ``None`` where the part is empty.
        """
        if part is not None:
            if not part.any():
                return None
            pixels = pixels * part[:, :, None]
        cosine = float((self.image(pixels) * self.text(sentence)).sum())
        return max(0.0, 100 * cosine)

    @torch.inference_mode()
    def image(self, pixels: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 -> (d,) float32 of length 1."""
        ready = self.processor(images=[pixels], return_tensors="pt").to(self.device)
        vision = self.model.vision_model(pixel_values=ready["pixel_values"])
        feature: Tensor = self.model.visual_projection(vision.pooler_output)[0].float()
        return F.normalize(feature, dim=0)

    @torch.inference_mode()
    def text(self, sentence: str) -> Tensor:
        """A sentence -> (d,) float32 of length 1."""
        most = self.model.config.text_config.max_position_embeddings
        ready = self.processor(
            text=[sentence], return_tensors="pt", truncation=True, max_length=most
        ).to(self.device)
        text = self.model.text_model(
            input_ids=ready["input_ids"], attention_mask=ready["attention_mask"]
        )
        feature: Tensor = self.model.text_projection(text.pooler_output)[0].float()
        return F.normalize(feature, dim=0)
