"""The BERT encoder (arXiv 1810.04805) as small sentence encoders use it: one segment, no pooler.

Written out here because importing transformers alone costs more than two seconds of every edit.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes of a BERT encoder; the defaults are those of all-MiniLM-L6-v2.

    Args:
        vocab_size: rows of the word embedding.
        dim: width of the hidden states; a multiple of ``n_head``.
        n_layer: number of blocks.
        n_head: attention heads.
        mlp_dim: hidden width of the feed-forward layers.
        max_positions: longest sequence, special tokens included.
        norm_eps: epsilon of the layer norms.

    Raises:
        ValueError: a size is not positive or ``dim`` is no multiple of ``n_head``.
    """

    vocab_size: int = 30522
    dim: int = 384
    n_layer: int = 6
    n_head: int = 12
    mlp_dim: int = 1536
    max_positions: int = 512
    norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("vocab_size", "dim", "n_layer", "n_head", "mlp_dim", "max_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.dim % self.n_head:
            raise ValueError(f"dim {self.dim}: must be a multiple of n_head {self.n_head}")


class BertAttention(nn.Module):
    """Self-attention over all positions that the mask marks as real."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(N, T, D) float, (N, 1, 1, T) bool -> (N, T, D)."""
        n, t, d = x.shape
        qkv = self.qkv(x).view(n, t, 3, self.n_head, d // self.n_head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: torch.Tensor = self.out(y.transpose(1, 2).reshape(n, t, d))
        return out


class BertBlock(nn.Module):
    """Post-norm block: attention and a GELU feed-forward, each added and then normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = BertAttention(config)
        self.attention_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.up = nn.Linear(config.dim, config.mlp_dim)
        self.down = nn.Linear(config.mlp_dim, config.dim)
        self.mlp_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(N, T, D) float, (N, 1, 1, T) bool -> (N, T, D)."""
        x = self.attention_norm(x + self.attention(x, mask))
        y: torch.Tensor = self.mlp_norm(x + self.down(F.gelu(self.up(x))))
        return y


class BertEncoder(nn.Module):
    """Token numbers -> last hidden states.

    The input is always one segment, so the embedding of segment 0 is a constant; it is part of
    ``position_embedding`` here.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.word_embedding = nn.Embedding(config.vocab_size, config.dim)
        self.position_embedding = nn.Embedding(config.max_positions, config.dim)
        self.embedding_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.blocks = nn.ModuleList(BertBlock(config) for _ in range(config.n_layer))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Run the encoder.

        Args:
            ids: (N, T) int64 token numbers in [0, vocab_size), T at most ``max_positions``.
            mask: (N, T), nonzero where a token is real. Every row has at least one real token.

        Returns:
            (N, T, D) last hidden states; rows of padding hold values without meaning.
        """
        assert ids.shape[1] <= self.config.max_positions, "longer than max_positions"
        x = self.word_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]
        x = self.embedding_norm(x)
        attend = mask.bool()[:, None, None, :]
        for block in self.blocks:
            x = block(x, attend)
        hidden: torch.Tensor = x
        return hidden
