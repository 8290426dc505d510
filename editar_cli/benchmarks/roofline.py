"""What the machine could do: the least time of a pass, from bandwidth and matrix rate as measured.

A pass reads every weight of the blocks and the head once, as stored, and the keys and values of
everything before it, and multiplies every weight with every row. No decoder that keeps these
numbers can be faster than the slower of the two; how near one comes is its fraction of the floor.
The products of attention itself, norms and drawing are left out, so the floor is a true bound.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import torch
from torch import nn

from editar_cli.decoding.layout import Layout
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.linear import Int8Linear, PackedLinear

# Far more than any cache, and than a kernel's start costs.
COPY_BYTES = {"cpu": 1 << 28, "mps": 1 << 28, "cuda": 1 << 30}
MATRIX_SIDE = {"cpu": 2048, "mps": 4096, "cuda": 8192}
REPEATS = 7


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a device was measured to do; the best of several tries each.

    Args:
        copy: bytes per second read and written together by a copy.
        read: bytes per second that are only read.
        rates: floating-point operations per second of a large square product, by number format.
    """

    copy: float
    read: float
    rates: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The least seconds of a pass.

    Args:
        memory: to read what it must read.
        compute: to multiply what it must multiply.
    """

    memory: float
    compute: float

    @property
    def seconds(self) -> float:
        """The later of the two: at best they overlap."""
        return max(self.memory, self.compute)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def measure_machine(
    device: torch.device,
    dtypes: Iterable[torch.dtype],
    *,
    nbytes: int | None = None,
    side: int | None = None,
) -> Machine:
    """Measure a device.

    Args:
        device: which.
        dtypes: number formats to multiply in.
        nbytes: size of what is copied and read; large where left out.
        side: of the matrices that are multiplied, likewise.
    """
    count = (nbytes or COPY_BYTES[device.type]) // 4
    side = side or MATRIX_SIDE[device.type]
    return Machine(
        copy=_copy_rate(count, device),
        read=_read_rate(count, device),
        rates={name_of(dtype): _matrix_rate(side, dtype, device) for dtype in dtypes},
    )


def name_of(dtype: torch.dtype) -> str:
    """Such as ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def weight_bytes(model: EditARTransformer) -> int:
    """Bytes of the weights that a pass reads, as they are stored now, scales included."""
    return sum(_stored(part) for part in (model.blocks, model.norm, model.head))


def weight_count(config: GPTConfig) -> int:
    """How many weights a pass multiplies each row with: blocks and head."""
    block = 4 * config.dim**2 + 3 * config.dim * config.hidden_dim
    return config.n_layer * block + config.dim * config.vocab_size


def cache_bytes(config: GPTConfig, layout: Layout, itemsize: int) -> float:
    """Bytes of keys and values that a step of one picture reads, on average over the picture.

    Passes that read several codes are spread over the picture alike, so their average is the same.
    """
    fed = config.codes - 1
    mean = sum(layout.end(code + 1) for code in range(fed)) / max(1, fed)
    return 2 * config.n_layer * config.dim * itemsize * mean


def floor_of_pass(
    machine: Machine, *, weights: int, cache: float, products: float, dtype: torch.dtype
) -> Floor:
    """The floor of one pass.

    Args:
        machine: as measured.
        weights: bytes of weights it reads.
        cache: bytes of keys and values it reads, of all pictures.
        products: weights times rows, all branches and codes of all pictures.
        dtype: number format it multiplies in.
    """
    return Floor(
        memory=(weights + cache) / machine.read,
        compute=2 * products / machine.rates[name_of(dtype)],
    )


def _stored(module: nn.Module) -> int:
    if isinstance(module, PackedLinear | Int8Linear):
        return module.nbytes
    own = sum(p.numel() * p.element_size() for p in module.parameters(recurse=False))
    return own + sum(_stored(child) for child in module.children())


def _copy_rate(count: int, device: torch.device) -> float:
    source = torch.ones(count, device=device)
    target = torch.empty_like(source)
    return 8 * count / _best(partial(target.copy_, source), device)


def _read_rate(count: int, device: torch.device) -> float:
    """Kernels differ in how near they come to the memory's speed: the best one counts."""
    both = torch.ones(2, count // 2, device=device)
    readers = (partial(torch.sum, both), partial(torch.dot, both[0], both[1]))
    return 4 * both.numel() / min(_best(reader, device) for reader in readers)


def _matrix_rate(side: int, dtype: torch.dtype, device: torch.device) -> float:
    matrix = torch.randn(side, side, device=device).to(dtype)
    return 2.0 * side * side * side / _best(partial(torch.matmul, matrix, matrix), device)


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of several tries, after one that does not count."""
    best = float("inf")
    for attempt in range(REPEATS + 1):
        synchronise(device)
        begun = perf_counter()
        work()
        synchronise(device)
        if attempt:
            best = min(best, perf_counter() - begun)
    return best
