"""Kernels in C for decoding in bfloat16 on a processor: products with int8 weights, attention, and
all blocks of a transformer in one call.

They are compiled when they are first wanted, by the system's C compiler, and kept. Where there is
no compiler, where the processor lacks AVX-512 BF16, or where a kernel's result is not what PyTorch
finds, there are none, and PyTorch's own operators do the work.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from editar_cli.folders import home

SOURCE = Path(__file__).with_name("kernels.c")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = (
    *("-O3", "-std=gnu11", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math"),
    *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma"),
)
# As /proc/cpuinfo has them.
INSTRUCTIONS = {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16", "fma"}
COMPILE_SECONDS = 60
DIGEST_BYTES = 32
# The one head size that attention is written for; all published models have it.
HEAD_DIM = 64
# Keys are taken so many at a time.
KEYS = 16
# Inputs of a product are taken so many at a time.
INPUTS = 32


class Kernels:
    """The compiled kernels.

    Args:
        library: of ``kernels.c``.
        openmp: the OpenMP library whose threads they share with PyTorch.
    """

    def __init__(self, library: ctypes.CDLL, openmp: ctypes.CDLL) -> None:
        names = ("GOMP_parallel", "GOMP_barrier", "omp_get_thread_num", "omp_get_num_threads")
        functions = [ctypes.cast(getattr(openmp, name), ctypes.c_void_p) for name in names]
        library.editar_start.restype = None
        library.editar_start(*functions)
        pointer, number, threads = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
        self._linear = library.editar_linear
        self._linear.argtypes = [pointer] * 4 + [number] * 3 + [threads]
        self._attention = library.editar_attention
        self._attention.argtypes = [pointer] * 5 + [number] * 4 + [pointer, threads]
        self._run = library.editar_run
        self._run.argtypes = [pointer, threads]

    def linear(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """(N, in) bfloat16, (out, in) int8, (out,) bfloat16 -> (N, out) bfloat16.

        A row's result is the same to the last bit whatever other rows there are.

        Args:
            x: contiguous; ``in`` a multiple of ``INPUTS``.
            weight, scale: contiguous.

        Raises:
            MemoryError: there is none left.
        """
        y = x.new_empty(len(x), len(weight))
        pointers = (x.data_ptr(), weight.data_ptr(), scale.data_ptr(), y.data_ptr())
        _check(self._linear(*pointers, *x.shape, len(weight), torch.get_num_threads()))
        return y

    def attention(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """(B, H, N, d) bfloat16 queries over (B, H, K, d) keys and values -> (B, H, N, d).

        A query's result is the same to the last bit whatever other queries there are, and whatever
        masked keys follow its own.

        Args:
            q, k, v: ``suits_attention``.
            bias: (B or 1, 1, N, K) float32, the last dimension contiguous.

        Raises:
            MemoryError: there is none left.
        """
        rows, heads, queries, head_dim = q.shape
        y = q.new_empty(rows, queries, heads, head_dim)
        strides = (
            *(q.stride(0), q.stride(1), q.stride(2), k.stride(0), k.stride(1)),
            *(v.stride(0), v.stride(1), bias_row_stride(bias), bias.stride(2)),
        )
        pointers = (x.data_ptr() for x in (q, k, v, bias, y))
        _check(
            self._attention(
                *pointers,
                *(rows, heads, queries, k.shape[2]),
                (ctypes.c_long * len(strides))(*strides),
                torch.get_num_threads(),
            )
        )
        return y.transpose(1, 2)

    def run(self, description: "Run") -> None:
        """All blocks of a transformer.

        Raises:
            MemoryError: there is none left.
        """
        _check(self._run(ctypes.byref(description), torch.get_num_threads()))


class Block(ctypes.Structure):
    """``Block`` of ``kernels.c``: the weights of one block."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            *("qkv", "out", "gate_up", "down"),
            *("qkv_scale", "out_scale", "gate_up_scale", "down_scale"),
            *("attention_norm", "mlp_norm"),
        )
    ]


class Run(ctypes.Structure):
    """``Run`` of ``kernels.c``: one pass of some positions through all blocks."""

    _fields_ = [
        ("blocks", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("layers", "dim", "hidden", "heads")),
        ("eps", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("x", "y")),
        *((name, ctypes.c_long) for name in ("rows", "queries")),
        ("turns", ctypes.c_void_p),
        ("turns_row", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("keys", "values")),
        *((name, ctypes.c_long) for name in ("layer_stride", "row_stride", "head_stride")),
        *((name, ctypes.c_void_p) for name in ("places", "bias")),
        *((name, ctypes.c_long) for name in ("bias_row", "bias_query", "visible")),
        *((name, ctypes.c_void_p) for name in ("state", "qkv", "mixed", "inner")),
        ("failed", ctypes.c_int),
    ]


def bias_row_stride(bias: Tensor) -> int:
    """From one row to the next: 0 where a bias of one row serves all."""
    return 0 if bias.shape[0] == 1 else bias.stride(0)


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("a kernel got no memory to work in")


def suits_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> bool:
    """Whether ``Kernels.attention`` takes these."""
    return (
        q.dtype == k.dtype == v.dtype == torch.bfloat16
        and bias.dtype == torch.float32
        and q.shape[3] == HEAD_DIM
        and k.shape[2] % KEYS == 0
        and q.stride(3) == k.stride(3) == v.stride(3) == bias.stride(3) == 1
        and k.stride(2) == v.stride(2) == HEAD_DIM
    )


def suits_linear(x: Tensor, weight: Tensor, scale: Tensor) -> bool:
    """Whether ``Kernels.linear`` takes these, given contiguous ``x``."""
    return (
        x.device.type == weight.device.type == "cpu"
        and x.dtype == scale.dtype == torch.bfloat16
        and weight.shape[1] % INPUTS == 0
    )


@lru_cache(maxsize=1)
def kernels() -> Kernels | None:
    """The kernels, compiled where that has not been done, or ``None`` where they cannot be had."""
    if not has_instructions():
        return None
    openmp = openmp_library()
    if openmp is None:
        return None
    for compiler in compilers():
        library = compiled(compiler)
        if library is None:
            continue
        with suppress(AttributeError, OSError):
            found = Kernels(library, ctypes.CDLL(openmp))
            if works(found):
                return found
    return None


def has_instructions() -> bool:
    """Whether this is Linux on an x86 processor with AVX-512 BF16."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    for line in facts.splitlines():
        if line.startswith("flags"):
            return set(line.split()) >= INSTRUCTIONS
    return False


def openmp_library() -> str | None:
    """The OpenMP library that PyTorch has loaded into this process."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}
    named = [path for path in sorted(found) if Path(path).name.startswith(("libgomp", "libomp"))]
    # Another package may have brought its own.
    own = [path for path in named if "torch" in Path(path).parts]
    return next(iter(own or named), None)


def compilers() -> Iterator[list[str]]:
    """Commands of C compilers: ``$CC``, else those that are usually there."""
    if given := shlex.split(os.environ.get("CC", "")):
        names = [given]
    else:
        names = [[name] for name in COMPILERS]
    for name, *options in names:
        if path := shutil.which(name):
            yield [path, *options]


def compiled(compiler: list[str]) -> ctypes.CDLL | None:
    """The library, from the kept file, else compiled and kept; ``None`` where that fails."""
    path = home() / "kernels" / f"{_key(compiler)}.so"
    if _is_whole(path):
        with suppress(OSError):
            return ctypes.CDLL(str(path))
    with suppress(OSError, subprocess.SubprocessError), tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "kernels.so"
        subprocess.run(
            [*compiler, *FLAGS, str(SOURCE), "-o", str(built), "-lm"],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=COMPILE_SECONDS,
        )
        data = built.read_bytes()
        try:
            _keep(data, path)
        except OSError:
            # A folder that cannot be written: compiled again next time.
            path = built
        return ctypes.CDLL(str(path))
    return None


def _key(compiler: list[str]) -> str:
    """A name for what this compiler makes of this source, here."""
    facts = os.stat(compiler[0])
    parts = (*compiler, str(facts.st_size), str(facts.st_mtime_ns), *FLAGS, platform.machine())
    digest = hashlib.sha256("\0".join(parts).encode() + SOURCE.read_bytes())
    return digest.hexdigest()[:DIGEST_BYTES]


def _keep(data: bytes, path: Path) -> None:
    """Write a library with its digest behind it, at once: others may be doing the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data + hashlib.sha256(data).digest())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _is_whole(path: Path) -> bool:
    """Whether a kept library is there as it was written: loading part of one would end the
    process."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]


def works(found: Kernels) -> bool:
    """Whether products and attention are PyTorch's, up to rounding, on a small example."""
    noise = torch.Generator().manual_seed(0)
    x = torch.randn(5, 96, generator=noise).bfloat16()
    weight = torch.randint(-127, 128, (37, 96), generator=noise, dtype=torch.int8)
    scale = torch.rand(37, generator=noise).bfloat16() / 64
    product = F.linear(x.float(), weight.float()) * scale.float()
    if not torch.allclose(found.linear(x, weight, scale).float(), product, rtol=2**-7, atol=1e-4):
        return False
    q = torch.randn(2, 3, 5, HEAD_DIM, generator=noise).bfloat16()
    k, v = (torch.randn(2, 3, 48, HEAD_DIM, generator=noise).bfloat16() for _ in range(2))
    bias = torch.rand(1, 1, 5, 48, generator=noise)
    bias = bias.masked_fill(bias < 0.3, -torch.inf)
    bias[..., 0] = 0.0
    mixed = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=bias)
    return torch.allclose(found.attention(q, k, v, bias).float(), mixed, rtol=2**-6, atol=1e-2)
