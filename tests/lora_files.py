"""LoRA adapters in peft's form, written without peft."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

RANK, ALPHA = 4, 6.0


def tiny_lora_layers(*, dim: int = 16, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of two layers of ``bundle_files.tiny_config``."""
    noise = torch.Generator().manual_seed(seed)
    shapes = {"blocks.0.attention.qkv": (dim, 3 * dim), "blocks.1.attention.out": (dim, dim)}
    return {
        layer: (
            torch.randn(RANK, inputs, generator=noise),
            torch.randn(outputs, RANK, generator=noise),
        )
        for layer, (inputs, outputs) in shapes.items()
    }


def write_lora(
    folder: Path, layers: dict[str, tuple[Tensor, Tensor]] | None = None, **settings: Any
) -> Path:
    state: dict[str, Tensor] = {}
    for layer, (a, b) in (tiny_lora_layers() if layers is None else layers).items():
        state[f"base_model.model.{layer}.lora_A.weight"] = a.contiguous()
        state[f"base_model.model.{layer}.lora_B.weight"] = b.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
