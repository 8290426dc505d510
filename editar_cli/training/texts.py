"""The instructions of a run as a table: each distinct one is encoded once, before the first step.

A step then costs a look-up on the device instead of an encoder's pass, or a copy, per sample.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from editar_cli.text import CachedTextEncoder

TOGETHER = 64
ON_DEVICE = 4 << 30
"""Larger tables, in bytes, stay in the host's memory."""


class TextTable:
    """Encodings of prompts, looked up by prompt.

    Args:
        encoder: the model's own.
        prompts: all that will be asked for; may repeat.
        device: where look-ups arrive.
        dtype: number format the encodings are kept in. What a network under autocast gets is the
            same, for it rounds its inputs itself.
        report: told how many of how many distinct prompts are encoded.
    """

    def __init__(
        self,
        encoder: CachedTextEncoder,
        prompts: Iterable[str],
        *,
        device: torch.device,
        dtype: torch.dtype,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        distinct = list(dict.fromkeys(prompts))
        self._rows = {prompt: row for row, prompt in enumerate(distinct)}
        self._device = device
        shape = (len(distinct), encoder.text_tokens, encoder.text_dim)
        table = torch.empty(shape, dtype=dtype)
        # Prompts of like length together: little padding.
        order = sorted(range(len(distinct)), key=lambda row: len(distinct[row]))
        for start in range(0, len(order), TOGETHER):
            rows = order[start : start + TOGETHER]
            table[rows] = encoder.encode_together([distinct[row] for row in rows]).to(dtype)
            report(start + len(rows), len(distinct))
        self._table = table if table.nbytes > ON_DEVICE else table.to(device)

    def __len__(self) -> int:
        return len(self._table)

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """N prompts of the table -> (N, T, text_dim) on the device, in the table's format."""
        rows = torch.tensor([self._rows[prompt] for prompt in prompts])
        return self._table[rows.to(self._table.device)].to(self._device)
