"""Sizes of the published models."""

from typing import TypedDict

from editar_cli.models.vq import VQConfig


class GPTSize(TypedDict):
    """What tells one published transformer size from another."""

    n_layer: int
    n_head: int
    dim: int


GPT_PRESETS: dict[str, GPTSize] = {
    "gpt-b": {"n_layer": 12, "n_head": 12, "dim": 768},
    "gpt-l": {"n_layer": 24, "n_head": 16, "dim": 1024},
    "gpt-xl": {"n_layer": 36, "n_head": 20, "dim": 1280},
    "gpt-xxl": {"n_layer": 48, "n_head": 24, "dim": 1536},
    "gpt-3b": {"n_layer": 24, "n_head": 32, "dim": 3200},
}

VQ16 = VQConfig()
