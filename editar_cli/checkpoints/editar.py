"""The published EditAR transformer (arXiv 2501.04699): its names and shapes <-> the native ones.

LlamaGen's text-to-image transformers have the same names without ``img_uncond_embedding`` and
``alignment``; :mod:`editar_cli.checkpoints.llamagen` makes training starts of them.
"""

import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

from editar_cli.errors import CheckpointError, UsageError
from editar_cli.tensorfiles import LazyTensor, check_shapes, lazy, module_shapes, without_weights

if TYPE_CHECKING:
    import torch

    from editar_cli.models.gpt import GPTConfig

NULL_IMAGE = "img_uncond_embedding"
NULL_TEXT = "cls_embedding.uncond_embedding"
CODE_EMBEDDING = "tok_embeddings.weight"
ALIGNMENT = "alignment.weight"
# Tables that follow from the architecture; some forks store them.
DERIVED = ("freqs_cis", "causal_mask")

TOP_NAMES = {
    "code_embedding.weight": CODE_EMBEDDING,
    "text_projection.fc1.weight": "cls_embedding.cap_proj.fc1.weight",
    "text_projection.fc2.weight": "cls_embedding.cap_proj.fc2.weight",
    "null_text": NULL_TEXT,
    "null_image": NULL_IMAGE,
    "norm.weight": "norm.weight",
    "head.weight": "output.weight",
    "adapter.weight": ALIGNMENT,
    "adapter.bias": "alignment.bias",
}
BLOCK_NAMES = {
    "attention_norm.weight": ("attention_norm.weight",),
    "attention.qkv.weight": ("attention.wqkv.weight",),
    "attention.out.weight": ("attention.wo.weight",),
    "mlp_norm.weight": ("ffn_norm.weight",),
    "mlp.gate_up.weight": ("feed_forward.w1.weight", "feed_forward.w3.weight"),
    "mlp.down.weight": ("feed_forward.w2.weight",),
}
NATIVE_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def published_names(native: str) -> tuple[str, ...]:
    """The published tensors that, stacked along the first dimension, are this native one."""
    if block := NATIVE_BLOCK.fullmatch(native):
        return tuple(f"layers.{block[1]}.{name}" for name in BLOCK_NAMES[block[2]])
    return (TOP_NAMES[native],)


def transformer_config(
    published: "Mapping[str, torch.Tensor]", file: Path, n_head: int | None = None
) -> "GPTConfig":
    """The architecture, read off the shapes.

    Args:
        published: the file's tensors.
        file: named in messages.
        n_head: attention heads; shapes do not tell. By default that of the published size with
            this many layers and this width.

    Raises:
        CheckpointError: tensors are missing or do not make a transformer.
        UsageError: the size is none of the published ones and ``n_head`` is not given.
    """
    from editar_cli.models.gpt import GPTConfig
    from editar_cli.models.presets import GPT_PRESETS

    needed = (CODE_EMBEDDING, NULL_TEXT, NULL_IMAGE, "layers.0.attention.wqkv.weight")
    if missing := [name for name in needed if name not in published]:
        hint = ""
        if missing == [NULL_IMAGE]:
            hint = (
                "; these are LlamaGen's text-to-image weights, which cannot edit: convert them as "
                "a training start with --start-grid (32 for 512 px)"
            )
        raise CheckpointError(f"{file}: no EditAR transformer, missing: {', '.join(missing)}{hint}")
    for name in (CODE_EMBEDDING, NULL_TEXT, NULL_IMAGE):
        if published[name].ndim != 2:
            raise CheckpointError(f"{file}: {name} is {tuple(published[name].shape)}, not a matrix")
    vocab_size, dim = published[CODE_EMBEDDING].shape
    text_tokens, text_dim = published[NULL_TEXT].shape
    cells = published[NULL_IMAGE].shape[0]
    if isqrt(cells) ** 2 != cells:
        raise CheckpointError(f"{file}: {NULL_IMAGE} has {cells} rows, not the cells of a square")
    layers = [re.match(r"layers\.(\d+)\.", name) for name in published]
    n_layer = 1 + max(int(found[1]) for found in layers if found)
    if n_head is None:
        heads = {
            (sizes["n_layer"], sizes["dim"]): sizes["n_head"] for sizes in GPT_PRESETS.values()
        }
        if (n_layer, dim) not in heads:
            raise UsageError(
                f"{file}: {n_layer} layers of width {dim} are no published size, and shapes do not "
                "tell the number of attention heads: give --n-head"
            )
        n_head = heads[n_layer, dim]
    try:
        return GPTConfig(
            n_layer=n_layer,
            n_head=n_head,
            dim=dim,
            vocab_size=vocab_size,
            grid=isqrt(cells),
            text_tokens=text_tokens,
            text_dim=text_dim,
            adapter_dim=published[ALIGNMENT].shape[0] if ALIGNMENT in published else None,
        )
    except ValueError as error:
        raise CheckpointError(f"{file}: not a transformer that can be built ({error})") from error


def to_native(
    published: "Mapping[str, torch.Tensor]",
    config: "GPTConfig",
    file: Path,
    dtype: "torch.dtype | None" = None,
) -> dict[str, LazyTensor]:
    """Published tensors under native names, made when written.

    Args:
        published: the file's tensors; ``freqs_cis`` and ``causal_mask`` are dropped.
        config: from :func:`transformer_config`.
        file: named in messages.
        dtype: number format to write, by default each tensor's own.

    Raises:
        CheckpointError: names are missing or unexpected, or a shape differs.
    """

    from editar_cli.models.gpt import EditARTransformer

    kept = {name: value for name, value in published.items() if name not in DERIVED}
    with without_weights():
        native = module_shapes(EditARTransformer(config))
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in native.items():
        parts = published_names(name)
        for part in parts:
            expected[part] = (shape[0] // len(parts), *shape[1:])
    check_shapes(
        expected,
        {name: tuple(value.shape) for name, value in kept.items()},
        file,
        "Is it an EditAR or LlamaGen text-to-image transformer?",
    )
    return {
        name: _stacked([kept[part] for part in published_names(name)], shape, dtype)
        for name, shape in native.items()
    }


def _stacked(
    parts: "list[torch.Tensor]", shape: tuple[int, ...], dtype: "torch.dtype | None"
) -> LazyTensor:
    import torch

    first = lazy(parts[0], dtype)
    if len(parts) == 1:
        return first
    return LazyTensor(first.dtype, shape, lambda: torch.cat(parts))


def to_published(native: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Native state -> published names; stacked matrices are split into views of their halves."""
    published: dict[str, torch.Tensor] = {}
    for name, value in native.items():
        parts = published_names(name)
        published.update(zip(parts, value.chunk(len(parts)), strict=True))
    return published
