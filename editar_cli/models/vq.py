"""The VQGAN image tokenizer (VQ-16 of LlamaGen, arXiv 2406.06525, and smaller relatives).

Parameter names are those of the published file, so it loads as it is. Every width, every power of
two of downsampling and every image size divisible by it works: the network is convolutional and
its attention runs over whatever grid it is given.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class VQConfig:
    """Shape of a tokenizer; the defaults are the published VQ-16.

    Args:
        codebook_size: number of codes V.
        codebook_dim: numbers per code.
        channels: width at full resolution.
        channel_multipliers: width of each level over ``channels``; each level after the first
            halves the side.
        res_blocks: residual blocks per level in the encoder; the decoder has one more.
        latent_channels: width between network and projection to ``codebook_dim``.
        norm_groups: groups of every normalisation; must divide every width. Narrow networks need
            few: a group of one channel forgets how bright and how coloured a picture is.
    """

    codebook_size: int = 16384
    codebook_dim: int = 8
    channels: int = 128
    channel_multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    res_blocks: int = 2
    latent_channels: int = 256
    norm_groups: int = 32

    def __post_init__(self) -> None:
        sizes = (self.codebook_size, self.codebook_dim, self.channels, self.res_blocks)
        if min(sizes) < 1 or self.latent_channels < 1 or not self.channel_multipliers:
            raise ValueError(f"tokenizer sizes must be positive: {self}")
        if any(self.channels * m % self.norm_groups for m in self.channel_multipliers):
            raise ValueError(f"norm_groups {self.norm_groups} does not divide every width: {self}")
        object.__setattr__(self, "channel_multipliers", tuple(self.channel_multipliers))

    @property
    def downsampling(self) -> int:
        """Pixels per code along one side."""
        return 1 << (len(self.channel_multipliers) - 1)


class VQTokenizer(nn.Module):
    """Pixels to codes and back."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Codebook(config.codebook_size, config.codebook_dim)
        self.quant_conv = nn.Conv2d(config.latent_channels, config.codebook_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.codebook_dim, config.latent_channels, 1)

    def latents(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, C, h, w), before normalisation.

        Raises:
            ValueError: H or W is not divisible by the downsampling factor.
        """
        factor = self.config.downsampling
        if pixels.shape[-2] % factor or pixels.shape[-1] % factor:
            sides = tuple(pixels.shape[-2:])
            raise ValueError(f"image sides {sides} are not divisible by {factor}")
        out: Tensor = self.quant_conv(self.encoder(pixels))
        return out

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, h, w) int64 codes in [0, V)."""
        return self.quantize.nearest(self.latents(pixels))

    def decode(self, codes: Tensor) -> Tensor:
        """(B, h, w) int64 codes in [0, V) -> (B, 3, H, W) float, nominally in [-1, 1]."""
        return self.decode_vectors(self.quantize.lookup(codes))

    def decode_vectors(self, vectors: Tensor) -> Tensor:
        """(B, C, h, w) unit-length code vectors -> (B, 3, H, W) float, nominally in [-1, 1]."""
        out: Tensor = self.decoder(self.post_quant_conv(vectors))
        return out


class Codebook(nn.Module):
    """Unit-length vectors; the nearest one by angle stands for a latent (LlamaGen section 2.1)."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, dim)

    def vectors(self) -> Tensor:
        """(V, C) unit-length codebook: what is compared with latents and what is decoded."""
        return F.normalize(self.embedding.weight, dim=-1)

    def nearest(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) latents -> (B, h, w) int64 codes."""
        flat = F.normalize(latents.permute(0, 2, 3, 1), dim=-1)
        # On the unit sphere the smallest distance is the largest dot product.
        return (flat @ self.vectors().T).argmax(dim=-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """(B, h, w) int64 codes -> (B, C, h, w) unit-length vectors."""
        return F.embedding(codes, self.vectors()).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """(B, 3, H, W) -> (B, latent_channels, h, w)."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = [config.channels * m for m in config.channel_multipliers]
        self.conv_in = nn.Conv2d(3, config.channels, 3, padding=1)
        self.conv_blocks = nn.ModuleList()
        previous = config.channels
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            self.conv_blocks.append(
                Level(
                    previous,
                    width,
                    config.res_blocks,
                    config.norm_groups,
                    attention=last,
                    down=not last,
                )
            )
            previous = width
        self.mid = middle(previous, config.norm_groups)
        self.norm_out = group_norm(previous, config.norm_groups)
        self.conv_out = nn.Conv2d(previous, config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, latent_channels, h, w)."""
        x = self.conv_in(x)
        for block in self.conv_blocks:
            x = block(x)
        for block in self.mid:
            x = block(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return out


class Decoder(nn.Module):
    """(B, latent_channels, h, w) -> (B, 3, H, W)."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = [config.channels * m for m in reversed(config.channel_multipliers)]
        previous = widths[0]
        self.conv_in = nn.Conv2d(config.latent_channels, previous, 3, padding=1)
        self.mid = middle(previous, config.norm_groups)
        self.conv_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            self.conv_blocks.append(
                Level(
                    previous,
                    width,
                    config.res_blocks + 1,
                    config.norm_groups,
                    attention=level == 0,
                    up=level < len(widths) - 1,
                )
            )
            previous = width
        self.norm_out = group_norm(previous, config.norm_groups)
        self.conv_out = nn.Conv2d(previous, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, latent_channels, h, w) -> (B, 3, H, W)."""
        x = self.conv_in(x)
        for block in self.mid:
            x = block(x)
        for block in self.conv_blocks:
            x = block(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return out


class Level(nn.Module):
    """Residual blocks at one resolution, attention after each where asked, then resampling."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        blocks: int,
        groups: int,
        *,
        attention: bool,
        down: bool = False,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.res = nn.ModuleList(
            ResidualBlock(in_channels if i == 0 else channels, channels, groups)
            for i in range(blocks)
        )
        self.attn = nn.ModuleList(
            SpatialAttention(channels, groups) for _ in range(blocks if attention else 0)
        )
        if down:
            self.downsample = Downsample(channels)
        if up:
            self.upsample = Upsample(channels)
        self.down, self.up = down, up

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, channels, h', w')."""
        for i, block in enumerate(self.res):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        if self.down:
            x = self.downsample(x)
        if self.up:
            x = self.upsample(x)
        return x


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm2 = group_norm(channels, groups)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.nin_shortcut = (
            nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, channels, h, w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        out: Tensor = self.nin_shortcut(x) + h
        return out


class SpatialAttention(nn.Module):
    """Single-head attention over all grid cells."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        n = self.norm(x)
        q, k, v = (m(n).flatten(2).transpose(1, 2)[:, None] for m in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(x.shape)
        out: Tensor = x + self.proj_out(h)
        return out


class Downsample(nn.Module):
    """Strided convolution; the extra row and column go to the bottom right only, as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h/2, w/2)."""
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Nearest-neighbour doubling and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2h, 2w)."""
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def middle(channels: int, groups: int) -> nn.ModuleList:
    """The three blocks at the lowest resolution."""
    return nn.ModuleList(
        [
            ResidualBlock(channels, channels, groups),
            SpatialAttention(channels, groups),
            ResidualBlock(channels, channels, groups),
        ]
    )


def group_norm(channels: int, groups: int) -> nn.GroupNorm:
    """Group normalisation with the published epsilon."""
    return nn.GroupNorm(groups, channels, eps=1e-6)
