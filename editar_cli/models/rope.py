"""Two-dimensional rotary positions of the sequence [input codes | text | output codes]."""

import torch
from torch import Tensor


def rotary_table(grid: int, text_tokens: int, head_dim: int, base: float = 10000.0) -> Tensor:
    """(S + T + S, head_dim / 2, 2) float32 cosines and sines, S = grid * grid.

    The picture lies on a (2 grid x 2 grid) table: input codes take rows and columns
    0 .. grid - 1, output codes grid .. 2 grid - 1. The first half of the channel pairs turns with
    the row, the second half with the column, at frequencies base^(-2i / (head_dim / 2)).

    Raises:
        ValueError: ``head_dim`` is not divisible by 4.
    """
    if head_dim % 4:
        raise ValueError(f"2-D rotary positions need a head size divisible by 4, not {head_dim}")
    half = head_dim // 2
    frequencies = 1.0 / base ** (torch.arange(0, half, 2).float() / half)
    cell = torch.arange(grid).float()
    source = torch.cartesian_prod(cell, cell)
    output = source + grid
    codes = torch.cat([source, output])
    angles = torch.cat(
        [codes[:, :1] * frequencies, codes[:, 1:] * frequencies],
        dim=1,
    )
    turns = torch.stack([angles.cos(), angles.sin()], dim=-1)
    # Text positions get zero cosines AND sines, so their queries and keys vanish. It looks like a
    # bug, but the published weights were trained with it.
    text = turns.new_zeros(text_tokens, half, 2)
    return torch.cat([turns[: grid * grid], text, turns[grid * grid :]])


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn adjacent channel pairs: x (..., N, d), turns (..., N, d / 2, 2) -> (..., N, d)."""
    pairs = x.float().reshape(*x.shape[:-1], -1, 2)
    cos, sin = turns[..., 0], turns[..., 1]
    even = pairs[..., 0] * cos - pairs[..., 1] * sin
    odd = pairs[..., 1] * cos + pairs[..., 0] * sin
    return torch.stack([even, odd], dim=-1).flatten(-2).type_as(x)
