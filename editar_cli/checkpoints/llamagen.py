"""Published LlamaGen files (arXiv 2406.06525): the VQ tokenizer, and text-to-image transformers.

A text-to-image transformer can start a training but cannot edit: it never saw an input image and
holds no null image.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from editar_cli.checkpoints.editar import ALIGNMENT, CODE_EMBEDDING, NULL_IMAGE
from editar_cli.errors import CheckpointError
from editar_cli.tensorfiles import check_shapes, module_shapes, without_weights

if TYPE_CHECKING:
    import torch

    from editar_cli.models.vq import VQConfig

# A training counter of how often each code was used.
USAGE_COUNTER = "quantize.codebook_used"
NULL_IMAGE_SEED = 0


def tokenizer_config(published: "Mapping[str, torch.Tensor]", file: Path) -> "VQConfig":
    """The architecture, read off the shapes.

    Raises:
        CheckpointError: tensors are missing or do not make a tokenizer.
    """
    from editar_cli.models.vq import VQConfig

    def shape(name: str) -> tuple[int, ...]:
        if name not in published:
            raise CheckpointError(f"{file}: no VQ tokenizer, {name} is missing")
        return tuple(published[name].shape)

    blocks = [
        re.fullmatch(r"encoder\.conv_blocks\.(\d+)\.res\.(\d+)\.conv1\.weight", name)
        for name in published
    ]
    indices = [(int(found[1]), int(found[2])) for found in blocks if found]
    if not indices:
        raise CheckpointError(f"{file}: no VQ tokenizer, encoder.conv_blocks are missing")
    levels = 1 + max(level for level, _ in indices)
    channels = shape("encoder.conv_in.weight")[0]
    widths = [shape(f"encoder.conv_blocks.{i}.res.0.conv1.weight")[0] for i in range(levels)]
    codebook = shape("quantize.embedding.weight")
    return VQConfig(
        codebook_size=codebook[0],
        codebook_dim=codebook[-1],
        channels=channels,
        channel_multipliers=tuple(width // channels for width in widths),
        res_blocks=1 + max(block for _, block in indices),
        latent_channels=shape("encoder.conv_out.weight")[0],
    )


def tokenizer_tensors(
    published: "Mapping[str, torch.Tensor]", config: "VQConfig", file: Path
) -> "dict[str, torch.Tensor]":
    """The published tensors without the usage counter; native names are the published ones.

    Raises:
        CheckpointError: names are missing or unexpected, or a shape differs.
    """

    from editar_cli.models.vq import VQTokenizer

    kept = {name: value for name, value in published.items() if name != USAGE_COUNTER}
    with without_weights():
        expected = module_shapes(VQTokenizer(config))
    found = {name: tuple(value.shape) for name, value in kept.items()}
    check_shapes(expected, found, file, "Is it a LlamaGen VQ tokenizer?")
    return {name: kept[name] for name in expected}


def as_training_start(
    published: "Mapping[str, torch.Tensor]", grid: int, file: Path
) -> "dict[str, torch.Tensor]":
    """A text-to-image transformer with the null image it lacks.

    The null image becomes fixed normal noise over sqrt(width), as the null text was initialised in
    LlamaGen. Zeros would not do: a row of zeros stays zero in every layer, where each RMSNorm
    multiplies gradients by 1 / sqrt(eps) = 316: in a deep transformer they overflow float32.

    Args:
        published: tensors of a LlamaGen text-to-image file.
        grid: side of the code grid to train on.
        file: named in messages.

    Raises:
        CheckpointError: the file has a null image already, or is no transformer.
    """
    import torch

    if NULL_IMAGE in published or ALIGNMENT in published:
        raise CheckpointError(f"{file}: is an EditAR transformer already; leave --start-grid out")
    if CODE_EMBEDDING not in published:
        raise CheckpointError(f"{file}: no LlamaGen transformer, {CODE_EMBEDDING} is missing")
    embedding = published[CODE_EMBEDDING]
    dim = embedding.shape[-1]
    noise = torch.Generator().manual_seed(NULL_IMAGE_SEED)
    null_image = torch.randn(grid * grid, dim, generator=noise) / dim**0.5
    return {**published, NULL_IMAGE: null_image.to(embedding.dtype)}
