"""Passes as CUDA graphs: hundreds of small kernels launched as one.

A graph is bound to its shapes, so passes are rounded up to a few: rows and codes to powers of two,
cached positions to quarters of a row. A shape is captured when it comes up again; the first time
it runs as it is, which also makes its kernels ready. Where capturing fails, passes go on without.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from editar_cli.decoding.rows import Rows

LENGTHS = 4


@dataclass(frozen=True)
class Shape:
    """What a graph is bound to: rows, codes per row, branches, cached positions read; and whether
    it says how likely the codes were."""

    rows: int
    count: int
    branches: int
    visible: int
    scored: bool = False


@dataclass(frozen=True)
class _Captured:
    graph: "torch.cuda.CUDAGraph"
    codes: Tensor
    first: Tensor
    seeds: Tensor
    drawn: Tensor
    scores: Tensor | None


class StepGraphs:
    """The passes of some rows.

    Args:
        rows: whose ``step`` is captured.
    """

    def __init__(self, rows: "Rows") -> None:
        self.rows = rows
        self.capturing = rows.device.type == "cuda"
        self._captured: dict[Shape, _Captured] = {}
        self._seen: set[Shape] = set()

    def shape(self, first: Sequence[int], count: int, *, scored: bool = False) -> Shape:
        """The rounded-up shape of a pass."""
        layout = self.rows.layout
        rows = min(_power_of_two(len(first)), self.rows.count)
        count = _power_of_two(count)
        branches, visible = self.rows.extent(first, count)
        step = layout.visible(-(-layout.length // LENGTHS))
        visible = min(-(-visible // step) * step, layout.length)
        return Shape(rows, count, branches, visible, scored)

    def draw(
        self, codes: Tensor, first: Sequence[int], seeds: Tensor, *, scored: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """As ``Rows.draw`` and ``Rows.draw_scored``, without ``skip``."""
        shape = self.shape(first, codes.shape[1], scored=scored)
        batch, count = codes.shape
        device = self.rows.device
        inputs = (
            torch.zeros(shape.rows, shape.count, dtype=torch.int64, device=device),
            # Rows and codes that only fill up the shape write to the spare place.
            torch.full((shape.rows,), self.rows.layout.codes - 1, device=device),
            torch.zeros(shape.rows, dtype=torch.int64, device=device),
        )
        inputs[0][:batch, :count] = codes
        inputs[1][:batch] = torch.tensor(first)
        inputs[2][:batch] = seeds
        drawn, scores = self._drawn(shape, *inputs)
        return drawn[:batch, :count], None if scores is None else scores[:batch, :count]

    def _drawn(
        self, shape: Shape, codes: Tensor, first: Tensor, seeds: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        captured = self._captured.get(shape)
        if captured is None and self.capturing and shape in self._seen:
            captured = self._capture(shape, codes, first, seeds)
        if captured is None:
            self._seen.add(shape)
            return self.rows.step(
                codes, first, seeds, shape.branches, shape.visible, scored=shape.scored
            )
        captured.codes.copy_(codes)
        captured.first.copy_(first)
        captured.seeds.copy_(seeds)
        captured.graph.replay()
        scores = captured.scores
        return captured.drawn.clone(), None if scores is None else scores.clone()

    def _capture(
        self, shape: Shape, codes: Tensor, first: Tensor, seeds: Tensor
    ) -> _Captured | None:
        inputs = codes.clone(), first.clone(), seeds.clone()
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                drawn, scores = self.rows.step(
                    *inputs, shape.branches, shape.visible, scored=shape.scored
                )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.capturing = False
            logging.getLogger(__name__).warning(
                "CUDA graphs cannot be used here, decoding goes on without them: %s", error
            )
            return None
        captured = _Captured(graph, *inputs, drawn, scores)
        self._captured[shape] = captured
        return captured


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
