"""Attention over cached keys and values, and plain causal attention, chosen by device and shape."""

import torch
import torch.nn.functional as F
from torch import Tensor

from editar_cli.models.native import kernels, suits_attention

# PyTorch's CPU kernel takes 32 queries at a time and other paths for a rest of one to three; in
# multiples of four a query's result is the same to the last bit whatever stands beside it. Measured
# equal on x86 with AVX-512.
CPU_QUERIES = 4
# ... and as long as the keys end on a multiple of this.
CPU_KEYS = 64


def attention_bias_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """In which format ``cached_attention`` wants the bias for queries of ``dtype``."""
    by_products = device.type == "cpu" and dtype == torch.bfloat16
    return torch.float32 if by_products else dtype


def cached_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(B, H, N, d) queries over (B, H, K, d) keys and values -> (B, H, N, d).

    Scale 1 / sqrt(d). On a CPU a query's result does not depend, not in the last bit, on how many
    others are computed with it, nor on masked keys behind its own, if the bias has a multiple of
    ``CPU_QUERIES`` rows and K is a multiple of ``CPU_KEYS``.

    Args:
        q, k, v: of one dtype.
        bias: (B or 1, 1, M, K), added to the scores, -inf where a key is not seen; M >= N, rows
            past N are padding; of ``attention_bias_dtype``.
    """
    queries = q.shape[2]
    if bias.dtype != q.dtype:
        bias = bias[:, :, :queries]
        if suits_attention(q, k, v, bias):
            found = kernels()
            if found is not None:
                return found.attention(q, k, v, bias)
        return _products(q, k, v, bias)
    if bias.shape[2] > queries and q.device.type == "cpu":
        q = torch.cat([q, q[:, :, -1:].expand(-1, -1, bias.shape[2] - queries, -1)], dim=2)
    bias = bias[:, :, : q.shape[2]]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)[:, :, :queries]


def _products(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Two batched products with the softmax between them in float32.

    For bfloat16 and few queries on a CPU where our own kernel cannot be had: PyTorch's fused one
    does not reach the memory's speed, 0.96 against 0.6 ms for 2 queries over 2304 keys of 20 heads
    of 64. Keys stand first, since oneDNN would reorder a transposed second operand.
    """
    scores = torch.bmm(k.flatten(0, 1), q.flatten(0, 1).transpose(1, 2)).transpose(1, 2)
    scores = torch.add(bias, scores.float().view(*q.shape[:3], -1), alpha=q.shape[3] ** -0.5)
    weights = scores.softmax(-1).to(v.dtype)
    return torch.bmm(weights.flatten(0, 1), v.flatten(0, 1)).view(q.shape)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, parts: int = 3) -> Tensor:
    """(B, heads, N, d) queries, keys, values -> (B, heads, N, d), plain causal attention.

    For training on a CPU, where the fused kernel takes near half of a step: written out over three
    groups of queries, each against the keys up to its own end, forward and backward together take
    two thirds of its time (43 against 63 ms at N = 535, bfloat16, two cores).
    """
    length, scale = q.shape[2], q.shape[3] ** -0.5
    step = -(-length // parts)
    outputs = []
    for start in range(0, length, step):
        stop = min(start + step, length)
        scores = (q[:, :, start:stop] * scale) @ k[:, :, :stop].transpose(-1, -2)
        hidden = torch.full((stop - start, stop), -torch.inf, dtype=scores.dtype).triu(start + 1)
        outputs.append((scores + hidden).softmax(-1).to(v.dtype) @ v[:, :, :stop])
    return torch.cat(outputs, dim=2)
