"""The EditAR transformer (arXiv 2501.04699, section 3; LlamaGen, arXiv 2406.06525).

A Llama-like decoder over ``[input codes | text | output codes]`` with plain causal attention. What
stands in front of the output codes is assembled in ``editar_cli.conditioning``; this file only
knows how to run positions.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editar_cli.models.attention import cached_attention, causal_attention
from editar_cli.models.kv_cache import KVCache, Window
from editar_cli.models.linear import faster
from editar_cli.models.native.blocks import FusedBlocks
from editar_cli.models.rope import rotary_table, rotate


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """Shape of a transformer.

    Args:
        n_layer, n_head, dim: blocks, attention heads, width.
        vocab_size: number of image codes V.
        grid: codes along one side of the picture, g; S = g * g.
        text_tokens: text positions T.
        text_dim: width of the text encoder.
        dropout: in training, on the projected text and after both projections of each block.
        norm_eps: RMSNorm's epsilon.
        rope_base: base of the rotary frequencies.
        adapter_dim: width of the distillation teacher; ``None`` leaves the adapter out.

    Raises:
        ValueError: sizes that do not fit together.
    """

    n_layer: int
    n_head: int
    dim: int
    vocab_size: int
    grid: int
    text_tokens: int = 120
    text_dim: int = 2048
    dropout: float = 0.1
    norm_eps: float = 1e-5
    rope_base: float = 10000.0
    adapter_dim: int | None = None

    def __post_init__(self) -> None:
        if min(self.n_layer, self.n_head, self.dim, self.vocab_size, self.grid) < 1:
            raise ValueError(f"transformer sizes must be positive: {self}")
        if self.dim % (4 * self.n_head):
            raise ValueError(f"dim {self.dim} must be divisible by 4 x n_head {self.n_head}")

    @property
    def head_dim(self) -> int:
        """Channels per attention head."""
        return self.dim // self.n_head

    @property
    def hidden_dim(self) -> int:
        """Width of the feed-forward part: 8/3 of ``dim``, rounded up to a multiple of 256."""
        return -(-int(8 * self.dim / 3) // 256) * 256

    @property
    def parameters(self) -> int:
        """Values in the blocks and the head: what every step reads."""
        block = 4 * self.dim**2 + 3 * self.dim * self.hidden_dim
        return self.n_layer * block + self.dim * self.vocab_size

    @property
    def codes(self) -> int:
        """Codes of one picture, S."""
        return self.grid * self.grid


class EditARTransformer(nn.Module):
    """Hidden states, logits and adapter features over any positions of the sequence."""

    null_text: Tensor
    null_image: Tensor
    turns: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.code_embedding = nn.Embedding(config.vocab_size, config.dim)
        self.text_projection = TextProjection(config.text_dim, config.dim)
        self.register_buffer("null_text", torch.zeros(config.text_tokens, config.text_dim))
        self.register_buffer("null_image", torch.zeros(config.codes, config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = nn.RMSNorm(config.dim, config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.adapter_dim is not None:
            self.adapter = nn.Conv2d(config.dim, config.adapter_dim, 2, stride=2)
        self.text_dropout = nn.Dropout(config.dropout)
        self.register_buffer("turns", self._turns(), persistent=False)
        self._fused: FusedBlocks | None = None

    def _turns(self) -> Tensor:
        c = self.config
        return rotary_table(c.grid, c.text_tokens, c.head_dim, c.rope_base)

    def reset_derived(self) -> None:
        """Fill the rotary table again; for a module that was built on the meta device."""
        self.turns = self._turns()

    def prepare_for_decoding(self, *, int8: bool = False) -> None:
        """Swap the layers that every step reads for faster ones; no training or saving after it.

        Args:
            int8: weights of 8 bits.
        """
        # Plain float32 products round a text differently beside other texts.
        faster(self.text_projection)
        faster(self.blocks, int8=int8)
        self.head = cast(nn.Linear, faster(self.head, int8=int8))
        self._fused = FusedBlocks.of(self.blocks)

    def embed_codes(self, codes: Tensor) -> Tensor:
        """(B, N) int64 codes in [0, V) -> (B, N, D)."""
        out: Tensor = self.code_embedding(codes)
        return out

    def embed_text(self, text: Tensor) -> Tensor:
        """(B, T, text_dim) text encodings -> (B, T, D)."""
        out: Tensor = self.text_dropout(self.text_projection(text))
        return out

    def hidden(
        self,
        x: Tensor,
        turns: Tensor,
        *,
        window: Window | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Run embedded positions through all blocks.

        Args:
            x: (B, N, D) embeddings.
            turns: (N, d / 2, 2) their rows of the rotary table ``self.turns``, or
                (B, 1, N, d / 2, 2); several may share a place in the sequence.
            window: where their keys and values are kept, and what they see beside themselves.
            bias: (B or 1, 1, M, K), M >= N, -inf where query n may not see key k of the window,
                else 0; without it attention is plain causal among x alone.

        Returns:
            (B, N, D) hidden states before the final norm.
        """
        if self._fused is not None and self._fused.suits(x, window, bias):
            assert window is not None and bias is not None
            return self._fused(x, turns, window, bias)
        for i, block in enumerate(self.blocks):
            x = block(x, turns, window, bias, i)
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) hidden states -> (..., V) float32 logits."""
        out: Tensor = self.head(self.norm(hidden))
        return out.float()

    def adapter_features(self, hidden: Tensor) -> Tensor:
        """(B, S, D) hidden states of the last S positions -> (B, adapter_dim, g/2, g/2)."""
        grid = self.config.grid
        maps = self.norm(hidden).transpose(1, 2).unflatten(2, (grid, grid))
        out: Tensor = self.adapter(maps)
        return out

    def new_cache(self, rows: int, length: int) -> KVCache:
        """An empty cache for ``rows`` pictures of at most ``length`` positions."""
        weight = self.code_embedding.weight
        return KVCache(
            layers=self.config.n_layer,
            rows=rows,
            heads=self.config.n_head,
            length=length,
            head_dim=self.config.head_dim,
            device=weight.device,
            dtype=weight.dtype,
        )


class TextProjection(nn.Module):
    """(B, T, text_dim) -> (B, T, D): two layers with tanh-approximated GELU between them."""

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(text_dim, dim, bias=False)
        self.fc2 = nn.Linear(dim, dim, bias=False)

    def forward(self, text: Tensor) -> Tensor:
        """(B, T, text_dim) -> (B, T, D)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(text), approximate="tanh"))
        return out


class Block(nn.Module):
    """Pre-norm attention and SwiGLU, each with its residual."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.dim, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Tensor, turns: Tensor, window: Window | None, bias: Tensor | None, layer: int
    ) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attention(self.attention_norm(x), turns, window, bias, layer)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class Attention(nn.Module):
    """Multi-head attention with 2-D rotary positions, scale 1 / sqrt(head_dim)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, turns: Tensor, window: Window | None, bias: Tensor | None, layer: int
    ) -> Tensor:
        """(B, N, D) normalised input -> (B, N, D)."""
        heads = self.qkv(x).unflatten(-1, (3, self.n_head, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(heads[:2], turns)
        v = heads[2]
        if window is not None:
            k, v = window.put(layer, k, v)
        if bias is not None:
            y = cached_attention(q, k, v, bias)
        elif self.training and q.device.type == "cpu":
            y = causal_attention(q, k, v)
        else:
            assert q.shape[2] == k.shape[2], "what stands behind a prefix needs a bias"
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        return out


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate x) * up x), gate and up in one matrix."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.dim, 2 * config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        out: Tensor = self.dropout(self.down(F.silu(gate) * up))
        return out
