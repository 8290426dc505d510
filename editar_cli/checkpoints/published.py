"""Reading files other people published: pickles without running anything in them, safetensors."""

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editar_cli.errors import CheckpointError
from editar_cli.tensorfiles import few, read_tensors

if TYPE_CHECKING:
    import torch

# Where trainers put the weights; what lies beside them (optimizer, steps, args) is ignored.
WRAPPERS = ("model", "module", "state_dict")
# What DataParallel, DistributedDataParallel and torch.compile put before a name.
NAME_PREFIXES = ("module.", "_orig_mod.")


def read_published(file: Path) -> "dict[str, torch.Tensor]":
    """Name -> tensor of a published checkpoint, on the CPU, memory-mapped and as stored.

    Args:
        file: a ``.safetensors`` file, or a PyTorch pickle whose weights lie at the top or under
            ``model``, ``module`` or ``state_dict``.

    Raises:
        CheckpointError: missing, damaged, holding no weights, or a pickle that asks for anything
            beyond tensors and an ``argparse.Namespace``; nothing in such a pickle is run.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; name a downloaded checkpoint")
    if file.suffix == ".safetensors":
        return _plain_names(read_tensors(file), file)
    content = _read_pickle(file)
    weights = _unwrap(content, file)
    # Beside bare weights there is nothing to skip but values that are no tensors at all.
    if weights is content:
        weights = {name: value for name, value in weights.items() if _is_tensor(value)}
    if not weights:
        raise CheckpointError(f"{file}: holds no weights under {', '.join(WRAPPERS)} or bare")
    if others := [str(name) for name, value in weights.items() if not _is_tensor(value)]:
        raise CheckpointError(f"{file}: not tensors: {few(others)}; is it a whole checkpoint?")
    return _plain_names(weights, file)


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _read_pickle(file: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            # The format before PyTorch 1.6 is no zip archive and cannot be memory-mapped.
            return torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
            )
    except pickle.UnpicklingError as error:
        # torch's own message advises to switch the protection off: it is not passed on.
        named = re.search(r"GLOBAL\s+([\w.]+)", str(error))
        asks = f"asks for {named.group(1)}" if named else "is damaged or asks for more than tensors"
        raise CheckpointError(
            f"{file}: refused, the pickle {asks}; only tensors and an argparse.Namespace are read. "
            "Nothing in it was run. Get the file again from its publisher, or as safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(
            f"{file}: not a readable PyTorch checkpoint ({error}); get it again"
        ) from error


def _unwrap(content: object, file: Path) -> Mapping[Any, Any]:
    while isinstance(content, Mapping):
        inner = [key for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return content
        content = content[inner[0]]
    raise CheckpointError(f"{file}: holds a {type(content).__name__}, not a dictionary of weights")


def _plain_names(weights: "Mapping[Any, torch.Tensor]", file: Path) -> "dict[str, torch.Tensor]":
    plain: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        short = str(name)
        while short.startswith(NAME_PREFIXES):
            short = next(short.removeprefix(p) for p in NAME_PREFIXES if short.startswith(p))
        if short in plain:
            raise CheckpointError(f"{file}: holds {short} twice, with and without a prefix")
        plain[short] = value
    return plain
