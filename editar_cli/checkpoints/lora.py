"""LoRA adapters (arXiv 2106.09685) in peft's files: read strictly and added to a model's weights.

A folder holds ``adapter_config.json`` and ``adapter_model.safetensors`` as peft writes them, and
``editar.json``, which says what it was made for. Using one needs no peft: a layer's weight W
becomes W + scale * alpha / r * B A before the model runs, so it costs nothing per picture, and
packed and 8-bit weights are made of the sum.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editar_cli.errors import CheckpointError, UsageError
from editar_cli.tensorfiles import few, read_tensors

if TYPE_CHECKING:
    import torch

    from editar_cli.models.gpt import GPTConfig

LORA_CONFIG = "adapter_config.json"
LORA_WEIGHTS = "adapter_model.safetensors"
LORA_FACTS = "editar.json"
FORMAT = 1
_PREFIX = "base_model.model."
_NAME = re.compile(r"(?P<layer>.+)\.lora_(?P<part>[AB])\.weight")
_PLAIN = {
    "peft_type": "LORA",
    "use_dora": False,
    "bias": "none",
    "modules_to_save": None,
    "fan_in_fan_out": False,
    "rank_pattern": {},
    "alpha_pattern": {},
}
"""What of peft's settings can be read: each as it is where left out."""


@dataclass(frozen=True, kw_only=True)
class LoraChoice:
    """An adapter to use, and how strongly.

    Args:
        path: its folder.
        scale: 1 as trained, 0 not at all, below 0 the other way.
    """

    path: Path
    scale: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "LoraChoice":
        """``PATH`` or ``PATH:SCALE``, as ``--lora`` takes it.

        Raises:
            UsageError: the scale is no finite number, or there is no such folder.
        """
        path, colon, tail = text.rpartition(":")
        # "C:\\adapters" has a colon, too.
        if not colon or Path(text).exists() or re.search(r"[\\/]", tail):
            path, tail = text, "1"
        try:
            scale = float(tail)
        except ValueError:
            scale = math.nan
        if not math.isfinite(scale):
            raise UsageError(f"--lora {text}: {tail} is no scale; write PATH:0.8")
        folder = Path(path).expanduser()
        if folder.name == LORA_WEIGHTS:
            folder = folder.parent
        if not folder.is_dir():
            raise UsageError(f"--lora {text}: no such folder")
        return cls(path=folder, scale=scale)

    @property
    def identity(self) -> str:
        """Name, scale and a digest of the weights: what results depend on, in one line.

        Raises:
            CheckpointError: the weights are missing.
        """
        file = self.path / LORA_WEIGHTS
        try:
            state = file.stat()
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: no LoRA adapter, {LORA_WEIGHTS} is missing"
            ) from error
        digest = _digest(file, state.st_mtime_ns, state.st_size)
        return f"{self.path.resolve().name}:{self.scale:g} {digest}"


@lru_cache(maxsize=64)
def _digest(file: Path, changed: int, size: int) -> str:
    """BLAKE2b of a file; time and size are there to read a file once for each of its states."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The matrices of an adapter.

    Args:
        file: its weights, named in messages.
        layers: name of a linear layer -> A (r, in) and B (out, r), float32 on the CPU.
        scaling: alpha / r.
    """

    file: Path
    layers: "Mapping[str, tuple[torch.Tensor, torch.Tensor]]"
    scaling: float

    def add_to(
        self, weights: "Mapping[str, torch.Tensor]", scale: float = 1.0
    ) -> "dict[str, torch.Tensor]":
        """Weights with the adapter's part added, in float32 where it changes them.

        Args:
            weights: name -> tensor of a transformer, on the CPU; they stay as they are.
            scale: how strongly.

        Raises:
            CheckpointError: the adapter is of a model with other layers.
        """
        added = dict(weights)
        strangers = [layer for layer in self.layers if f"{layer}.weight" not in weights]
        if strangers:
            raise CheckpointError(
                f"{self.file}: made for another model: this one has no {few(strangers)}"
            )
        for layer, (a, b) in self.layers.items():
            name = f"{layer}.weight"
            shape, wanted = (b.shape[0], a.shape[1]), tuple(weights[name].shape)
            if shape != wanted:
                raise CheckpointError(
                    f"{self.file}: made for another model: its {layer} is {shape}, here {wanted}"
                )
            added[name] = weights[name].float() + (b @ a) * (scale * self.scaling)
        return added


def read_lora(folder: Path) -> Lora:
    """The adapter in a folder as peft writes it.

    Raises:
        CheckpointError: a file is missing or damaged, or it is more than a plain LoRA.
    """
    file, config_file = folder / LORA_WEIGHTS, folder / LORA_CONFIG
    if not config_file.is_file():
        raise CheckpointError(f"{folder}: no LoRA adapter, {LORA_CONFIG} is missing")
    try:
        config: dict[str, Any] = json.loads(config_file.read_text(encoding="utf-8"))
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{config_file}: cannot be read: {error!r}") from error
    for key, plain in _PLAIN.items():
        if (config.get(key) or plain) != plain:
            raise CheckpointError(
                f"{config_file}: {key} is {json.dumps(config[key])}; only plain LoRA of linear "
                "layers can be used"
            )
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in read_tensors(file).items():
        match = _NAME.fullmatch(name.removeprefix(_PREFIX))
        if match is None or value.ndim != 2:
            raise CheckpointError(f"{file}: {name} is no part of a plain LoRA of linear layers")
        halves.setdefault(match["layer"], {})[match["part"]] = value.float()
    for layer, parts in halves.items():
        ranks = {parts["A"].shape[0], parts["B"].shape[1]} if len(parts) == 2 else set()
        if ranks != {rank}:
            raise CheckpointError(f"{file}: {layer} lacks a half or is not of rank {rank}")
    if not halves:
        raise CheckpointError(f"{file}: holds no weights")
    return Lora(
        file=file,
        layers={layer: (parts["A"], parts["B"]) for layer, parts in halves.items()},
        scaling=alpha / (math.sqrt(rank) if config.get("use_rslora") else rank),
    )


def with_loras(
    weights: "Mapping[str, torch.Tensor]", choices: Sequence[LoraChoice]
) -> "dict[str, torch.Tensor]":
    """A transformer's weights with adapters added, one after the other.

    Raises:
        CheckpointError: an adapter cannot be read or does not fit.
    """
    added = dict(weights)
    for choice in choices:
        added = read_lora(choice.path).add_to(added, choice.scale)
    return added


def lora_facts(*, base: str, shape: "GPTConfig", training: Mapping[str, Any]) -> str:
    """The text of editar.json, for people: what an adapter was made for and how.

    Args:
        base: name of the model.
        shape: of its transformer.
        training: facts of the run.
    """
    facts = {"format": FORMAT, "base": base, "transformer": asdict(shape), "training": training}
    return json.dumps(facts, indent=2) + "\n"
