"""Weights in safetensors files: reading, writing, and loading them into modules strictly."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editar_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

MOST_NAMES_IN_A_MESSAGE = 8


def few(names: Iterable[str]) -> str:
    """The first names, sorted, and how many more there are: a message stays readable."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:MOST_NAMES_IN_A_MESSAGE])
    more = len(ordered) - MOST_NAMES_IN_A_MESSAGE
    return shown if more <= 0 else f"{shown} and {more} more"


def check_shapes(
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    file: Path,
    advice: str,
) -> None:
    """Compare the names and shapes of a file's tensors with what a model has.

    Args:
        expected: name -> shape of the model.
        found: name -> shape of the file.
        file: named in the message.
        advice: last sentence of the message, what to do.

    Raises:
        CheckpointError: names missing or unexpected, or a shape differs.
    """
    problems = []
    if missing := expected.keys() - found.keys():
        problems.append(f"missing: {few(missing)}")
    if unexpected := found.keys() - expected.keys():
        problems.append(f"unexpected: {few(unexpected)}")
    wrong = [
        f"{name} is {tuple(found[name])}, expected {tuple(expected[name])}"
        for name in expected.keys() & found.keys()
        if tuple(expected[name]) != tuple(found[name])
    ]
    if wrong:
        problems.append(f"wrong shape: {few(wrong)}")
    if problems:
        raise CheckpointError(
            f"{file}: the weights do not fit the architecture; {'; '.join(problems)}. {advice}"
        )


def read_tensors(file: Path) -> "dict[str, torch.Tensor]":
    """All tensors of a safetensors file, memory-mapped, on the CPU and as stored.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; the bundle is incomplete, get it again")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: not a readable safetensors file ({error}); get it again"
        ) from error


def read_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a safetensors file, read from its header alone.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; the bundle is incomplete, get it again")
    try:
        with safe_open(file, framework="pt") as stored:
            names = stored.keys()
            return {name: tuple(stored.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: not a readable safetensors file ({error}); get it again"
        ) from error


def module_shapes(module: "torch.nn.Module") -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything a module's state holds."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules made inside have names and shapes but no memory: they are on the meta device.

    Only what modules allocate goes there; tables that are computed (``torch.arange`` and on) are
    made for real. Arithmetic and normal noise on the meta device make torch load its compiler,
    which takes more than a second of every edit.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class OnMeta(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = dict(kwargs or {})
            if func is torch.nn.init.normal_:
                return args[0] if args else kwargs["tensor"]
            if func in (torch.empty, torch.zeros, torch.ones) and kwargs.get("device") is None:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    with OnMeta():
        yield


def load_strictly(
    module: "torch.nn.Module",
    tensors: "Mapping[str, torch.Tensor]",
    file: Path,
    advice: str = "It belongs to another model or version.",
) -> None:
    """Make the tensors the module's own (no copy); the module may be on the meta device.

    Raises:
        CheckpointError: names or shapes differ, see :func:`check_shapes`.
    """
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    check_shapes(module_shapes(module), found, file, advice)
    module.load_state_dict(dict(tensors), strict=True, assign=True)


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is made when it is written: the whole state never lies in memory at once.

    Args:
        dtype: number format it will have.
        shape: its shape.
        make: gives it.
    """

    dtype: "torch.dtype"
    shape: tuple[int, ...]
    make: "Callable[[], torch.Tensor]"


def lazy(value: "torch.Tensor", dtype: "torch.dtype | None" = None) -> LazyTensor:
    """A tensor to be written in ``dtype``, by default its own; whole numbers keep theirs."""
    target = value.dtype if dtype is None or not value.is_floating_point() else dtype
    return LazyTensor(target, tuple(value.shape), lambda: value)


def write_tensors(
    file: Path,
    tensors: Mapping[str, LazyTensor],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a safetensors file, one tensor in memory at a time.

    The safetensors library wants all tensors at once; the format is a JSON header and plain bytes:
    https://huggingface.co/docs/safetensors#format

    Args:
        file: written in place; give a temporary name and rename for an atomic file.
        tensors: name -> tensor.
        progress: called with bytes written and bytes in all, after each tensor.
    """
    import torch

    names = {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
    }
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, entry in tensors.items():
        start, size = end, entry.dtype.itemsize
        for side in entry.shape:
            size *= side
        end = start + size
        header[name] = {
            "dtype": names[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [start, end],
        }
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with file.open("wb") as out:
        out.write(len(head).to_bytes(8, "little") + head)
        done = 0
        for entry in tensors.values():
            value = entry.make().detach().to("cpu", entry.dtype).contiguous()
            assert tuple(value.shape) == entry.shape, "a lazy tensor must keep its promise"
            done += out.write(value.reshape(-1).view(torch.uint8).numpy().data)
            if progress is not None:
                progress(done, end)
