"""What stands before the output codes, and what is dropped from it.

The sequence is ``[S input codes | T text | S output codes]``. Training drops the text, the image
or both for some samples; guidance runs a second branch that differs in the text alone. Both
replacements live here and nowhere else.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from editar_cli.models.gpt import EditARTransformer

# One uniform draw per sample decides (EditAR section 3.3).
DROP_BOTH, DROP_IMAGE, DROP_TEXT = 0.05, 0.10, 0.95


@dataclass(frozen=True)
class Dropped:
    """(B,) bool each: whose image and whose text is replaced by the stored null embedding."""

    image: Tensor
    text: Tensor

    @classmethod
    def from_draw(cls, r: Tensor) -> "Dropped":
        """(B,) uniform draws in [0, 1) -> the joint condition dropout of training.

        r < 0.05 drops image and text, r < 0.10 the image, r > 0.95 the text.
        """
        return cls(image=r < DROP_IMAGE, text=(r < DROP_BOTH) | (r > DROP_TEXT))


def image_embeddings(
    model: EditARTransformer, codes: Tensor, dropped: Tensor | None = None
) -> Tensor:
    """(B, S) int64 input codes, (B,) bool -> (B, S, D), null embeddings where dropped."""
    x = model.embed_codes(codes)
    if dropped is None:
        return x
    return torch.where(dropped[:, None, None], model.null_image.to(x), x)


def text_embeddings(
    model: EditARTransformer, text: Tensor, dropped: Tensor | None = None
) -> Tensor:
    """(B, T, text_dim) encodings, (B,) bool -> (B, T, D); null text goes through the projection."""
    if dropped is not None:
        text = torch.where(dropped[:, None, None], model.null_text.to(text), text)
    return model.embed_text(text)


def null_text_embeddings(model: EditARTransformer, batch: int) -> Tensor:
    """(batch, T, D): the unconditional branch's text."""
    return model.embed_text(model.null_text[None]).expand(batch, -1, -1)
