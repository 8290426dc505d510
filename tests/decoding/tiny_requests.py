"""Pictures to decode with tiny models, and decoding of a whole list of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import Request, Strategy, decode
from editar_cli.decoding.rows import Rows
from editar_cli.decoding.sequential import Sequential
from editar_cli.models.gpt import EditARTransformer
from tests.tiny_transformer import tiny_inputs, tiny_transformer


def packed_transformer(seed: int = 0, *, dtype: torch.dtype = torch.float32, **changes):
    """A tiny transformer as an engine would run it."""
    model = tiny_transformer(seed, **changes).requires_grad_(False).to(dtype)
    model.reset_derived()
    model.prepare_for_decoding()
    return model


def tiny_requests(
    model: EditARTransformer,
    count: int,
    *,
    seed: int = 0,
    forced: Sequence[Tensor | None] | None = None,
) -> list[Request]:
    """Pictures and texts that differ, each with a seed of its own."""
    codes, text = tiny_inputs(model, count, seed)
    seeds = torch.randint(2**62, (count,), generator=torch.Generator().manual_seed(seed))
    return [
        Request(
            source_codes=codes[i],
            text=text[i],
            seed=int(seeds[i]),
            forced=None if forced is None else forced[i],
        )
        for i in range(count)
    ]


def decode_all(
    model: EditARTransformer,
    requests: Sequence[Request],
    sampling: SamplingConfig,
    strategy: Strategy | None = None,
    *,
    rows: int | Rows = 1,
    window: int | None = None,
) -> tuple[Tensor, list[int]]:
    """(N, S) codes in the order of the requests, and the passes of each."""
    found = list(
        decode(model, requests, sampling, strategy or Sequential(), rows=rows, window=window)
    )
    assert sorted(done.index for done in found) == list(range(len(requests)))
    found.sort(key=lambda done: done.index)
    return torch.stack([done.codes for done in found]), [done.passes for done in found]
