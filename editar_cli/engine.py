"""One engine behind every command: pixels and sentences in, pixels out.

``edit`` is the whole path of a batch: tokenize, condition, decode, detokenize.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding import sequential

if TYPE_CHECKING:
    from editar_cli.checkpoints.native import Bundle


@dataclass(frozen=True)
class EditResult:
    """What an edit of B pictures leaves: codes (B, g, g) int64, pixels (B, 3, S, S) in [-1, 1].

    The decoded source shows what the tokenizer makes of the source alone, so that a caller can
    tell the edit from the tokenizer's own losses.
    """

    source_codes: Tensor
    edited_codes: Tensor
    decoded_source: Tensor
    decoded_edited: Tensor


class Engine:
    """A loaded bundle, ready to edit batches."""

    def __init__(self, bundle: "Bundle") -> None:
        self.bundle = bundle
        self.transformer = bundle.transformer.eval()
        self.tokenizer = bundle.tokenizer.eval()

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, h, w) int64 codes."""
        return self.tokenizer.encode(pixels.to(self.bundle.device, torch.float32))

    @torch.inference_mode()
    def detokenize(self, codes: Tensor) -> Tensor:
        """(B, h, w) int64 codes -> (B, 3, H, W) float32 in [-1, 1]."""
        return self.tokenizer.decode(codes).clamp(-1, 1)

    @torch.inference_mode()
    def edit(
        self,
        pixels: Tensor,
        instructions: Sequence[str],
        seeds: Sequence[int],
        sampling: SamplingConfig,
        on_step: Callable[[int, int], None] | None = None,
    ) -> EditResult:
        """Edit a batch of pictures.

        Args:
            pixels: (B, 3, S, S) float in [-1, 1], S the bundle's image size.
            instructions: B sentences.
            seeds: B numbers; a picture's codes depend on its own alone (see ``sampling``).
            sampling: guidance and filtering.
            on_step: called with (codes done, codes in all).
        """
        assert len(instructions) == len(seeds) == pixels.shape[0]
        source_codes = self.encode(pixels)
        text = self.bundle.text_encoder.encode(instructions).to(self.bundle.device)
        edited = sequential.decode(
            self.transformer,
            source_codes.flatten(1),
            text,
            torch.tensor(seeds, dtype=torch.int64, device=self.bundle.device),
            sampling,
            on_step,
        ).view_as(source_codes)
        # One pass for both: the decoder's cost per call is not small beside one picture.
        both = self.detokenize(torch.cat([source_codes, edited]))
        decoded_source, decoded_edited = both.chunk(2)
        return EditResult(source_codes, edited, decoded_source, decoded_edited)


def image_seed(seed: int, key: str) -> int:
    """The seed of one picture, in [0, 2^63): from the run's seed and the picture's relative path.

    So batch size, order, resumption and sharding do not change a picture's result.
    """
    digest = hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
