"""Models of the published shapes with random weights: speed can be measured without a download."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from editar_cli.checkpoints.native import Bundle, BundleConfig, TextConfig
from editar_cli.errors import UsageError
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.presets import GPT_PRESETS, VQ16
from editar_cli.models.vq import VQTokenizer
from editar_cli.tensorfiles import without_weights

PREFIX = "random:"
GRID = 32
TEXT_TOKENS = 120
TEXT_DIM = 2048


class RandomText:
    """Noise in place of a text encoder: the same for the same sentence."""

    text_tokens = TEXT_TOKENS
    text_dim = TEXT_DIM

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> (N, text_tokens, text_dim) float32 on the CPU."""
        return torch.stack(
            [
                torch.randn(
                    self.text_tokens,
                    self.text_dim,
                    generator=torch.Generator().manual_seed(zlib.crc32(prompt.encode())),
                )
                for prompt in prompts
            ]
        )


def random_bundle(
    name: str, *, device: torch.device, dtype: torch.dtype, grid: int = GRID
) -> Bundle:
    """A bundle of random weights, the same ones for the same name, device and number format.

    The transformer is made in its number format: a float32 copy of the largest takes 12 GB.

    Args:
        name: ``random:`` and a published size.
        device: of transformer and tokenizer.
        dtype: of the transformer.
        grid: codes along one side.

    Raises:
        UsageError: no such size.
    """
    size = name.removeprefix(PREFIX)
    if size not in GPT_PRESETS:
        known = ", ".join(PREFIX + known for known in GPT_PRESETS)
        raise UsageError(f"--model {name}: not a published size; there are {known}")
    config = BundleConfig(
        name=name,
        transformer=GPTConfig(
            **GPT_PRESETS[size],
            vocab_size=VQ16.codebook_size,
            grid=grid,
            text_tokens=TEXT_TOKENS,
            text_dim=TEXT_DIM,
        ),
        tokenizer=VQ16,
        text=TextConfig(kind="t5", path="none", text_tokens=TEXT_TOKENS),
        image_size=grid * VQ16.downsampling,
    )
    bundle = Bundle(
        path=Path(name),
        config=config,
        transformer=_transformer(config.transformer, device, dtype),
        tokenizer=_tokenizer(device),
        device=device,
        dtype=dtype,
    )
    bundle.text_encoder = RandomText()
    return bundle


def _transformer(config: GPTConfig, device: torch.device, dtype: torch.dtype) -> EditARTransformer:
    with without_weights():
        model = EditARTransformer(config)
    # Before memory is taken: the rotary table stays float32.
    model = model.to(dtype).to_empty(device=device)
    model.reset_derived()
    model.turns = model.turns.to(device)
    noise = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("norm.weight"):
                value.fill_(1.0)
            else:
                value.normal_(0.0, 0.02, generator=noise)
    return model.requires_grad_(False).eval()


def _tokenizer(device: torch.device) -> VQTokenizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VQTokenizer(VQ16).to(device).requires_grad_(False).eval()
