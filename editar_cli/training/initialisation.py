"""Initial values for small transformers that have little time to learn.

Three things that training would otherwise have to find by trial are put in from the start; the
architecture is untouched and every value can be unlearned.

* Code embeddings and output head are projections of the codebook vectors, so codes that look alike
  start alike (codebook geometry).
* Some heads of the first block look up the source code of the cell that is to be written, of its
  neighbours, and the output code above it: with 2-D rotary positions a fixed displacement is a
  fixed pair of query and key.
* One head per block looks at the text alone: text keys are zero, so a constant negative score on
  everything else leaves the text.

The head starts out naming codes near the source's own: the model begins by copying, and learns
what an instruction changes.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from editar_cli.models.gpt import Attention, EditARTransformer

# How much sharper the score is at the looked-up cell than one cell beside it, before softmax.
LOOKUP_MARGIN = 5.0
# Score of every non-text key in a text head.
TEXT_MARGIN = 8.0
# Logit of a code equal to the source's, over one at a right angle to it.
COPY_LOGIT = 8.0
# Share of random values in the output head.
HEAD_NOISE = 0.05
# Share of the constant direction in a code embedding's squared length.
CONSTANT_SHARE = 0.3


@torch.no_grad()
def initialise(model: EditARTransformer, codebook: Tensor, *, seed: int) -> None:
    """Set all weights of ``model``.

    Args:
        model: any size wide enough for two code vectors and one head beside the constant.
        codebook: (V, C) unit-length code vectors.
        seed: of the random part.
    """
    c = model.config
    code_dim = codebook.shape[1]
    generator = torch.Generator().manual_seed(seed)
    _random(model, generator)

    # Orthogonal directions of the residual stream: one constant, one C-dimensional space for a
    # position's own code, one for every look-up, and what the text says.
    basis = torch.linalg.qr(torch.randn(c.dim, c.dim, generator=generator))[0].T
    constant, own, rest = basis[0], basis[1 : 1 + code_dim], basis[1 + code_dim :]
    length = c.dim**0.5
    code_length = (1 - CONSTANT_SHARE) ** 0.5 * length
    constant_length = CONSTANT_SHARE**0.5 * length
    model.code_embedding.weight.copy_(codebook @ own * code_length + constant * constant_length)

    g = c.grid
    # (row, column) from a query, which writes the cell to its right, to the key it looks up.
    displacements = [(-g, 1 - g), (-g, 2 - g), (1 - g, 1 - g), (-g, -g), (-g - 1, 1 - g), (-1, 1)]
    lookups = min(c.n_head - 1, len(displacements), len(rest) // code_dim - 1)
    # Length of the stream behind the first block: own code, look-ups of the same length, constant.
    stream = ((1 + lookups) * code_length**2 + constant_length**2) ** 0.5
    reader = constant / constant_length  # reads 1 from every normalised code position
    attentions = cast(list[Attention], [block.attention for block in model.blocks])
    first, *others = attentions
    for head in range(lookups):
        _look_up(first, head, displacements[head], reader, c.rope_base)
        space = rest[head * code_dim : (head + 1) * code_dim]
        _carry(first, head, own / code_length, space * code_length)
    text_space = rest[lookups * code_dim :][: c.head_dim]
    _look_at_text(first, c.n_head - 1, reader)
    _carry_text(first, c.n_head - 1, text_space * code_length, generator)
    for attention in others:
        _look_up(attention, 0, displacements[0], reader * stream / length, c.rope_base)
        _look_at_text(attention, c.n_head - 1, reader * stream / length)

    # The last norm makes the stream ``length`` long again.
    copied = rest[:code_dim] * stream / (code_length * length)
    model.head.weight.mul_(HEAD_NOISE).add_(codebook @ copied * COPY_LOGIT)


def _random(model: EditARTransformer, generator: torch.Generator) -> None:
    depth = (2 * model.config.n_layer) ** 0.5
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if name.startswith("text_projection") or name.startswith("adapter"):
            parameter.copy_(noise * parameter[0].numel() ** -0.5)
        elif name.endswith(("out.weight", "down.weight")):
            parameter.copy_(noise * 0.5 * parameter[0].numel() ** -0.5 / depth)
        else:
            parameter.copy_(noise * 0.5 * parameter[0].numel() ** -0.5)
    null = torch.randn(model.null_image.shape, generator=generator)
    model.null_image.copy_(F.normalize(null, dim=-1) * model.config.dim**0.5)


def _rows(attention: Attention, part: int, head: int) -> slice:
    dim = attention.out.weight.shape[0]
    size = dim // attention.n_head
    start = part * dim + head * size
    return slice(start, start + size)


def _look_up(
    attention: Attention, head: int, displacement: tuple[int, int], reader: Tensor, base: float
) -> None:
    """Make a head's score peak at a fixed (row, column) displacement from query to key."""
    size = attention.out.weight.shape[0] // attention.n_head
    half = size // 2
    frequencies = 1.0 / base ** (torch.arange(0, half, 2).float() / half)
    # Fast pairs tell neighbours apart, slower ones stop the fast ones from repeating.
    used = (frequencies > 0.02).float()
    beside = (used * (1 - frequencies.cos())).sum()
    amplitude = (LOOKUP_MARGIN * size**0.5 / beside) ** 0.5
    query, key = [], []
    for steps in displacement:
        angles = steps * frequencies
        query.append(torch.stack([angles.cos(), angles.sin()], -1) * used[:, None])
        key.append(torch.stack([used, torch.zeros_like(used)], -1))
    attention.qkv.weight[_rows(attention, 0, head)] = torch.outer(
        amplitude * torch.cat(query).flatten(), reader
    )
    attention.qkv.weight[_rows(attention, 1, head)] = torch.outer(
        amplitude * torch.cat(key).flatten(), reader
    )


def _carry(attention: Attention, head: int, source: Tensor, target: Tensor) -> None:
    """Let a head read with (C, D) ``source`` and write the C numbers along (C, D) ``target``."""
    rows = _rows(attention, 2, head)
    size = rows.stop - rows.start
    columns = slice(head * size, (head + 1) * size)
    attention.qkv.weight[rows] = 0
    attention.qkv.weight[rows][: len(source)] = source
    attention.out.weight[:, columns] = 0
    attention.out.weight[:, columns][:, : len(target)] = target.T


def _carry_text(
    attention: Attention, head: int, target: Tensor, generator: torch.Generator
) -> None:
    """Let a head write random unit-length readings of the text along (C, D) ``target``."""
    dim = target.shape[1]
    readings = torch.randn(target.shape, generator=generator) / (dim * len(target)) ** 0.5
    _carry(attention, head, readings, target)


def _look_at_text(attention: Attention, head: int, reader: Tensor) -> None:
    """Give every non-text key the same negative score; text keys, being zero, score zero."""
    size = attention.out.weight.shape[0] // attention.n_head
    slowest = torch.zeros(size)
    # The slowest row pair hardly turns over a picture.
    slowest[size // 2 - 2] = (TEXT_MARGIN * size**0.5) ** 0.5
    attention.qkv.weight[_rows(attention, 0, head)] = torch.outer(-slowest, reader)
    attention.qkv.weight[_rows(attention, 1, head)] = torch.outer(slowest, reader)
