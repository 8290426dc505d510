"""A random transformer small enough for hundreds of passes, with logits that differ visibly."""

from typing import Any

import pytest
import torch
from torch import Tensor

from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.linear import can_pack

EQUAL_BITS = pytest.mark.skipif(
    not can_pack(torch.float32) or torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="equal bits are promised where layers are packed for AVX-512",
)

SHAPE: dict[str, Any] = {
    "n_layer": 2,
    "n_head": 2,
    "dim": 32,
    "vocab_size": 40,
    "grid": 4,
    "text_tokens": 5,
    "text_dim": 12,
}


def tiny_transformer(seed: int = 0, **changes: Any) -> EditARTransformer:
    """In evaluation mode."""
    model = EditARTransformer(GPTConfig(**{**SHAPE, **changes}))
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.state_dict().values():
            scale = 0.1 if value.ndim == 1 else value[0].numel() ** -0.5
            offset = 1.0 if value.ndim == 1 else 0.0
            value.copy_(offset + scale * torch.randn(value.shape, generator=noise))
        model.code_embedding.weight.mul_(4)
        model.head.weight.mul_(3)
    return model.eval()


def tiny_inputs(model: EditARTransformer, batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(B, S) source codes and (B, T, text_dim) text encodings."""
    c = model.config
    noise = torch.Generator().manual_seed(100 + seed)
    codes = torch.randint(c.vocab_size, (batch, c.codes), generator=noise)
    return codes, torch.randn(batch, c.text_tokens, c.text_dim, generator=noise)


def rounding(*guidance: float) -> float:
    """How far float32 logits of one model may lie apart when sums are ordered otherwise.

    Guidance multiplies each branch's own rounding, by up to twice its scale; processors of other
    makes order their sums in other ways. What a wrong key or branch changes is over 0.1.
    """
    return 5e-5 * (1 + 2 * sum(guidance))
