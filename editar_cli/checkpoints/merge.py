"""A bundle and LoRA adapters -> one bundle that needs no adapter."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from editar_cli.checkpoints.lora import LoraChoice, with_loras
from editar_cli.checkpoints.native import TOKENIZER, TRANSFORMER, read_config, write_bundle
from editar_cli.errors import UsageError
from editar_cli.tensorfiles import lazy, read_tensors


def merge(
    bundle: Path,
    loras: Sequence[LoraChoice],
    output: Path,
    *,
    name: str | None = None,
    dtype: torch.dtype | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Write ``bundle`` with ``loras`` added to its weights as a bundle of its own.

    Args:
        bundle: the folder of the model.
        loras: at least one.
        output: folder to write.
        name: of the new bundle, by default the folder's.
        dtype: number format of the transformer; by default each tensor's as it was.
        progress: told what is being done.

    Raises:
        UsageError: the result would replace its source.
        CheckpointError: a part cannot be read, or they do not fit.
    """
    if output.resolve() == bundle.resolve():
        raise UsageError(f"{output}: is the model itself; name another folder")
    config = read_config(bundle)
    stored = read_tensors(bundle / TRANSFORMER)
    progress("adding " + ", ".join(str(lora.path) for lora in loras))
    merged = with_loras(stored, loras)
    facts = {"base": config.name, "loras": [lora.identity for lora in loras]}
    text = bundle / config.text.path
    write_bundle(
        output,
        config=replace(
            config,
            name=name or output.resolve().name,
            training={**config.training, "merged": facts},
        ),
        transformer={key: lazy(value, dtype or stored[key].dtype) for key, value in merged.items()},
        tokenizer={key: lazy(value) for key, value in read_tensors(bundle / TOKENIZER).items()},
        text_folder=text if text.is_dir() else None,
        progress=progress,
    )
