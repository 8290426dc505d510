"""All blocks of a transformer with int8 weights in one call of a kernel."""

import ctypes
from typing import TYPE_CHECKING, Optional, cast

import torch
from torch import Tensor, nn

from editar_cli.models.kv_cache import Window
from editar_cli.models.linear import INT8_KERNEL_ROWS, Int8Linear
from editar_cli.models.native import (
    HEAD_DIM,
    INPUTS,
    KEYS,
    Block,
    Kernels,
    Run,
    bias_row_stride,
    kernels,
)

if TYPE_CHECKING:
    from editar_cli.models.gpt import Block as TorchBlock


class FusedBlocks:
    """Runs what ``EditARTransformer.hidden`` runs, for few positions behind a prefix.

    Between the blocks it keeps float32 where PyTorch's layers round to bfloat16.

    Args:
        blocks: of int8 layers; their weights are read where they lie.
        found: the kernels.
    """

    def __init__(self, blocks: nn.ModuleList, found: Kernels) -> None:
        self._kernels = found
        described = []
        # Keeps alive what is only known by its address.
        self._kept: list[Tensor] = []
        for block in blocks:
            block = cast("TorchBlock", block)
            layers = (
                *(block.attention.qkv, block.attention.out),
                *(block.mlp.gate_up, block.mlp.down),
            )
            tensors = [
                *(cast(Int8Linear, layer).weight for layer in layers),
                *(cast(Int8Linear, layer).scale for layer in layers),
                *(block.attention_norm.weight.detach(), block.mlp_norm.weight.detach()),
            ]
            assert all(tensor.is_contiguous() for tensor in tensors)
            self._kept += tensors
            described.append(Block(*(tensor.data_ptr() for tensor in tensors)))
        self._blocks = (Block * len(described))(*described)
        first = cast("TorchBlock", blocks[0])
        self._heads = first.attention.n_head
        self._dim = self._heads * HEAD_DIM
        self._hidden = cast(Int8Linear, first.mlp.down).weight.shape[1]
        eps = first.attention_norm.eps
        assert eps is not None
        self._eps = eps

    @staticmethod
    def of(blocks: nn.ModuleList) -> Optional["FusedBlocks"]:
        """For these blocks, or ``None`` where they or this machine do not suit."""
        for block in blocks:
            block = cast("TorchBlock", block)
            norms = (block.attention_norm.weight, block.mlp_norm.weight)
            layers = (
                *(block.attention.qkv, block.attention.out),
                *(block.mlp.gate_up, block.mlp.down),
            )
            if not (
                all(isinstance(layer, Int8Linear) for layer in layers)
                and all(cast(Int8Linear, layer).weight.shape[1] % INPUTS == 0 for layer in layers)
                and all(cast(Int8Linear, layer).weight.device.type == "cpu" for layer in layers)
                and all(norm.dtype == torch.bfloat16 for norm in norms)
                and norms[0].shape[0] == block.attention.n_head * HEAD_DIM
            ):
                return None
        found = kernels()
        return None if found is None else FusedBlocks(blocks, found)

    def suits(self, x: Tensor, window: Window | None, bias: Tensor | None) -> bool:
        """Whether these positions stand behind a prefix, are few enough, and all is laid out as
        the kernel wants it."""
        return (
            window is not None
            and bias is not None
            and x.shape[0] * x.shape[1] < INT8_KERNEL_ROWS
            and x.dtype == window.keys.dtype == torch.bfloat16
            and bias.dtype == torch.float32
            and bias.stride(3) == 1
            and window.visible % KEYS == 0
        )

    def __call__(self, x: Tensor, turns: Tensor, window: Window, bias: Tensor) -> Tensor:
        """As ``EditARTransformer.hidden``.

        Raises:
            MemoryError: there is none left to work in.
        """
        rows, queries = x.shape[:2]
        x, turns = x.contiguous(), turns.float().contiguous()
        y = torch.empty_like(x)
        if isinstance(window.places, slice):
            places = torch.arange(window.places.start, window.places.stop).expand(rows, -1)
        else:
            places = window.places[:, 0, :, 0]
        assert places.shape == (rows, queries) and bias.shape[2] >= queries
        assert bias.shape[3] == window.visible and turns.shape[-3] == queries
        places = places.contiguous()
        keys = window.keys
        self._kernels.run(
            Run(
                blocks=ctypes.addressof(self._blocks),
                layers=len(self._blocks),
                dim=self._dim,
                hidden=self._hidden,
                heads=self._heads,
                eps=self._eps,
                x=x.data_ptr(),
                y=y.data_ptr(),
                rows=rows,
                queries=queries,
                turns=turns.data_ptr(),
                turns_row=0 if turns.numel() == queries * HEAD_DIM else queries * HEAD_DIM,
                keys=keys.data_ptr(),
                values=window.values.data_ptr(),
                layer_stride=keys.stride(0),
                row_stride=keys.stride(1),
                head_stride=keys.stride(2),
                places=places.data_ptr(),
                bias=bias.data_ptr(),
                bias_row=bias_row_stride(bias),
                bias_query=bias.stride(2),
                visible=window.visible,
            )
        )
        return y
