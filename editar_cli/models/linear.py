"""Linear layers for decoding: few rows against weights that are read once per step.

``faster`` swaps a model's layers, for inference only. What pays depends on the device and the
number format:

- CPU, float32 and bfloat16: oneDNN's own weight layout. PyTorch's plain product of 2 rows with a
  7168 x 1280 float32 matrix takes 4.0 ms, the packed one 0.7; in bfloat16 0.5 and 0.26 (two cores
  of an EPYC with AVX-512). With AVX-512 a row's result is also the same to the last bit whatever
  other rows are computed with it, which the plain float32 product does not promise.
- int8 weights: one scale per output channel, activations in the model's format; for a few rows of
  bfloat16 on a CPU a kernel of our own where it can be had (``native``), else PyTorch's.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editar_cli.models.native import INPUTS, kernels, suits_linear

# From here on unpacking to bfloat16 first is faster than PyTorch's int8 kernel, whose time grows
# with every row: 1.8 against 3 ms at 32 rows, 3.6 against 3.4 at 64 (7168 x 1280).
INT8_KERNEL_ROWS = 64


class PackedLinear(nn.Module):
    """A linear layer without bias whose weight is kept in oneDNN's layout."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.in_features = weight.shape[1]
        # A number of rows must be named; the layout serves others as fast.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), 4)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        # A single float32 row takes another path: slower than two and rounded otherwise.
        single = x.numel() == self.in_features
        rows = x.reshape(1, -1).expand(2, -1).contiguous() if single else x
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, None, "none", [], "")
        return out[0].view(*x.shape[:-1], -1) if single else out

    @property
    def nbytes(self) -> int:
        """Memory of the weight in bytes."""
        return int(self._packed.numel() * self._packed.element_size())


class Int8Linear(nn.Module):
    """A linear layer without bias: int8 weights with a scale per output channel, symmetric."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        values, scale = quantize(weight.detach())
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale.to(weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        rows = x.numel() // x.shape[-1]
        if rows < INT8_KERNEL_ROWS and x.shape[-1] % INPUTS == 0:
            flat, out = x.reshape(rows, -1), None
            if suits_linear(x, self.weight, self.scale) and (found := kernels()) is not None:
                out = found.linear(flat.contiguous(), self.weight, self.scale)
            elif has_int8_kernel(x.device.type, x.dtype):
                # With 40 inputs it reads past the weight's end.
                out = torch.ops.aten._weight_int8pack_mm(flat, self.weight, self.scale)
            if out is not None:
                return out.view(*x.shape[:-1], -1)
        return F.linear(x, self.weight.to(x.dtype)) * self.scale

    @property
    def nbytes(self) -> int:
        """Memory of weight and scales in bytes."""
        return self.weight.numel() + self.scale.numel() * self.scale.element_size()


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(out, in) float -> (out, in) int8 in [-127, 127] and (out,) float32 scales.

    The largest value of a row becomes 127; rounding is to nearest, so no weight moves by more
    than half a scale.
    """
    weight = weight.float()
    scale = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def faster(layer: nn.Module, *, int8: bool = False) -> nn.Module:
    """The layer that serves in place of ``layer``, or ``layer`` itself; inner ones are swapped.

    The result can only be run, not trained, moved or saved.
    """
    if isinstance(layer, nn.Linear):
        if int8:
            return Int8Linear(layer.weight)
        if layer.weight.device.type == "cpu" and can_pack(layer.weight.dtype):
            return PackedLinear(layer.weight)
        return layer
    for name, child in layer.named_children():
        setattr(layer, name, faster(child, int8=int8))
    return layer


@lru_cache(maxsize=4)
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch packs weights of this format, and gets the product right."""
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    if dtype == torch.bfloat16 and not has_bfloat16():
        return False
    weight = torch.linspace(-1, 1, 64 * 48).view(48, 64).to(dtype)
    x = torch.linspace(1, -1, 5 * 64).view(5, 64).to(dtype)
    try:
        packed = PackedLinear(weight)(x)
    except (AttributeError, RuntimeError):
        # Operators of PyTorch's own compiler: other builds may lack them.
        return False
    return torch.allclose(packed, F.linear(x, weight), rtol=0.02, atol=0.1)


@lru_cache(maxsize=8)
def has_int8_kernel(device: str, dtype: torch.dtype) -> bool:
    """Whether PyTorch multiplies int8 weights here without unpacking them, and gets it right.

    In float32 its CPU kernel takes 3 ms for one row of 7168 x 1280, so that does not count.
    """
    if dtype != torch.bfloat16 or device == "mps":
        return False
    x = torch.linspace(1, -1, 5 * 64, device=device).view(5, 64).to(dtype)
    weight = torch.linspace(-1, 1, 64 * 64, device=device).view(64, 64)
    values, scale = quantize(weight)
    try:
        found = torch.ops.aten._weight_int8pack_mm(x, values, scale.to(dtype))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return torch.allclose(found.float(), F.linear(x.float(), weight), rtol=0.05, atol=0.2)


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX-512 BF16 or AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
