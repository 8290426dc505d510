"""LoRA adapters in training: put into a transformer by peft, and written as peft writes them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from editar_cli.checkpoints.lora import LORA_FACTS, lora_facts
from editar_cli.errors import TrainingError
from editar_cli.models.gpt import EditARTransformer
from editar_cli.training.recipe import LoraSettings

if TYPE_CHECKING:
    from peft import PeftModel


def add_adapters(transformer: EditARTransformer, settings: LoraSettings) -> "PeftModel":
    """Put adapters into a transformer, in place, and freeze all but them.

    They begin as nothing: B is zero, so the first step starts from the model as it is.

    Returns:
        peft's handle of the same transformer, for :func:`save_adapters`.

    Raises:
        TrainingError: peft is not installed, or a target names no linear layer.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise TrainingError("[lora]: needs peft; run `pip install 'editar[train]'`") from error
    layers = {
        name.rpartition(".")[2]
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear)
    }
    if strangers := sorted(set(settings.targets) - layers):
        raise TrainingError(
            f"lora.targets: no linear layer is called {strangers[0]!r}; there are: "
            f"{', '.join(sorted(layers))}"
        )
    config = LoraConfig(
        r=settings.rank,
        # peft's own annotation is narrower than what it computes with.
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
    )
    adapted: PeftModel = get_peft_model(transformer, config)
    return adapted


def save_adapters(
    adapted: "PeftModel", folder: Path, *, base: str, training: Mapping[str, Any]
) -> None:
    """Write the adapters and what they were made for; the folder appears whole or not at all.

    Args:
        adapted: from :func:`add_adapters`.
        folder: replaced where it is there.
        base: name of the model.
        training: facts for people.
    """
    transformer = adapted.get_base_model()
    assert isinstance(transformer, EditARTransformer)
    part, old = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "old"))
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    adapted.save_pretrained(str(part))
    # A model card template of peft's, with nothing in it.
    (part / "README.md").unlink(missing_ok=True)
    facts = lora_facts(base=base, shape=transformer.config, training=training)
    (part / LORA_FACTS).write_text(facts, encoding="utf-8")
    if folder.exists():
        folder.replace(old)
    part.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
