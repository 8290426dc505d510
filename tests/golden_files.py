"""Golden files: inputs and outputs of the public reference implementation, and their weights.

The weights are rebuilt from names and shapes (``tests/golden/golden_weights.py``) and pass through
``editar_cli.checkpoints`` like any published file.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from editar_cli.checkpoints import editar, llamagen
from editar_cli.models.gpt import EditARTransformer
from editar_cli.models.vq import VQTokenizer
from tests.golden.golden_weights import golden_state_dict

SHIPPED = Path(__file__).parent / "golden"
# Another folder of files of the same form, checked beside the shipped ones.
FURTHER = os.environ.get("EDITAR_GOLDEN")


def golden_files(prefix: str) -> list[Path]:
    folders = [SHIPPED, *([Path(FURTHER)] if FURTHER else [])]
    return sorted(f for folder in folders for f in folder.glob(f"{prefix}*.safetensors"))


def golden_keys(prefix: str) -> list[tuple[Path, str]]:
    """(file, key) of every expected output; keys under ``input.`` are what to start from."""
    found = []
    for file in golden_files(prefix):
        with safe_open(file, "pt") as stored:
            found += [(file, key) for key in sorted(stored.keys()) if not key.startswith("input.")]
    return found


@lru_cache(maxsize=8)
def golden_tensors(file: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(file)
    return tensors


def golden_facts(file: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return facts


def golden_published(file: Path) -> dict[str, torch.Tensor]:
    """The weights under their published names."""
    shapes = {name: tuple(shape) for name, shape in golden_facts(file)["shapes"].items()}
    return {name: torch.from_numpy(v) for name, v in golden_state_dict(shapes).items()}


@lru_cache(maxsize=4)
def golden_transformer(file: Path = SHIPPED / "gpt_tiny.safetensors") -> EditARTransformer:
    """The file's model, in evaluation mode: its dropout layers are off."""
    published = golden_published(file)
    config = editar.transformer_config(published, file, golden_facts(file)["n_head"])
    model = EditARTransformer(config)
    native = editar.to_native(published, config, file)
    model.load_state_dict({name: tensor.make() for name, tensor in native.items()})
    return model.eval()


@lru_cache(maxsize=1)
def golden_tokenizer(file: Path = SHIPPED / "vq16.safetensors") -> VQTokenizer:
    published = golden_published(file)
    config = llamagen.tokenizer_config(published, file)
    with torch.device("meta"):
        tokenizer = VQTokenizer(config)
    tokenizer.load_state_dict(llamagen.tokenizer_tensors(published, config, file), assign=True)
    return tokenizer.eval().requires_grad_(False)
