"""A small random bundle with a text encoder of its own."""

from pathlib import Path

import torch

from editar_cli.checkpoints.minilm import write_minilm
from editar_cli.checkpoints.native import BundleConfig, TextConfig, save_bundle
from editar_cli.config import SamplingConfig
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.vq import VQConfig, VQTokenizer
from tests.bert_files import write_tiny_bert


def tiny_config() -> BundleConfig:
    return BundleConfig(
        name="tiny",
        transformer=GPTConfig(
            n_layer=2, n_head=2, dim=16, vocab_size=32, grid=4, text_tokens=6, text_dim=32
        ),
        tokenizer=VQConfig(
            codebook_size=32,
            codebook_dim=8,
            channels=32,
            channel_multipliers=(1, 2),
            res_blocks=1,
            latent_channels=24,
        ),
        text=TextConfig(kind="minilm", path="text", text_tokens=6),
        image_size=8,
        sampling=SamplingConfig(guidance=2.0, top_k=20),
        training={"photos": 3, "note": "made by a test"},
    )


def tiny_modules(config: BundleConfig) -> tuple[EditARTransformer, VQTokenizer]:
    torch.manual_seed(11)
    return EditARTransformer(config.transformer), VQTokenizer(config.tokenizer)


def write_tiny_bundle(
    folder: Path, *, dtype: torch.dtype | None = None, tokenizer_dtype: torch.dtype | None = None
) -> tuple[EditARTransformer, VQTokenizer]:
    config = tiny_config()
    transformer, tokenizer = tiny_modules(config)
    text = folder.parent / f"{folder.name}-text"
    write_minilm(write_tiny_bert(folder.parent / f"{folder.name}-bert"), text)
    save_bundle(
        folder,
        config=config,
        transformer=transformer,
        tokenizer=tokenizer,
        text_folder=text,
        dtype=dtype,
        tokenizer_dtype=tokenizer_dtype,
    )
    return transformer, tokenizer
