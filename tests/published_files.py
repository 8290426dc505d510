"""Files in the form of the published EditAR and LlamaGen checkpoints, small, and the evil kind."""

import argparse
from pathlib import Path
from typing import Any

import torch

N_HEAD, DIM, VOCAB, GRID, TEXT_TOKENS, TEXT_DIM, HIDDEN = 2, 16, 32, 4, 6, 12, 256
VQ_CHANNELS = 32


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def editar_state(*, n_layer: int = 2, alignment: bool = False) -> dict[str, torch.Tensor]:
    state = {
        "img_uncond_embedding": noise(GRID * GRID, DIM),
        "cls_embedding.uncond_embedding": noise(TEXT_TOKENS, TEXT_DIM),
        "cls_embedding.cap_proj.fc1.weight": noise(DIM, TEXT_DIM),
        "cls_embedding.cap_proj.fc2.weight": noise(DIM, DIM),
        "tok_embeddings.weight": noise(VOCAB, DIM),
        "norm.weight": noise(DIM),
        "output.weight": noise(VOCAB, DIM, seed=5),
    }
    for i in range(n_layer):
        state |= {
            f"layers.{i}.attention.wqkv.weight": noise(3 * DIM, DIM, seed=i),
            f"layers.{i}.attention.wo.weight": noise(DIM, DIM, seed=10 + i),
            f"layers.{i}.feed_forward.w1.weight": noise(HIDDEN, DIM, seed=20 + i),
            f"layers.{i}.feed_forward.w3.weight": noise(HIDDEN, DIM, seed=30 + i),
            f"layers.{i}.feed_forward.w2.weight": noise(DIM, HIDDEN, seed=40 + i),
            f"layers.{i}.attention_norm.weight": noise(DIM, seed=50 + i),
            f"layers.{i}.ffn_norm.weight": noise(DIM, seed=60 + i),
        }
    if alignment:
        state["alignment.weight"] = noise(24, DIM, 2, 2)
        state["alignment.bias"] = noise(24)
    return state


def t2i_state() -> dict[str, torch.Tensor]:
    state = editar_state()
    del state["img_uncond_embedding"]
    return state


def vq_state() -> dict[str, torch.Tensor]:
    from editar_cli.models.vq import VQConfig, VQTokenizer

    torch.manual_seed(3)
    config = VQConfig(
        codebook_size=VOCAB,
        codebook_dim=8,
        channels=VQ_CHANNELS,
        channel_multipliers=(1, 2),
        res_blocks=1,
        latent_channels=24,
    )
    state = dict(VQTokenizer(config).state_dict())
    return {**state, "quantize.codebook_used": torch.zeros(64)}


def trainer_extras() -> dict[str, Any]:
    """What the release's trainer stores beside the weights."""
    return {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]},
        "steps": 12000,
        "args": argparse.Namespace(gpt_model="GPT-XL", image_size=512, lr=1e-4),
    }


def write_editar(file: Path, **kwargs: Any) -> Path:
    torch.save({"model": editar_state(**kwargs), **trainer_extras()}, file)
    return file


def write_vq(file: Path) -> Path:
    torch.save({"model": vq_state()}, file)
    return file


class WritesAFile:
    """A pickle of this writes ``file`` when unpickled by a careless reader."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.file, "run")
