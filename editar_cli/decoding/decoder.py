"""The loop that every command decodes with: pictures wait for a row, rows advance pass by pass.

A pass reads a few codes that are only guessed and keeps those that turn out to be what the plain
order, one code after the other, would have drawn: noise is a function of seed, position and code,
so a guess can be checked. Which strategy guesses decides how many passes a picture takes, never
which codes it gets.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding.rows import Rows
from editar_cli.models.gpt import EditARTransformer
from editar_cli.sampling import sample

Codes = NDArray[np.int64]
WINDOWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
FREE = -1


@dataclass(frozen=True, kw_only=True)
class Request:
    """One picture to decode.

    Args:
        source_codes: (S,) int64 in [0, V).
        text: (T, text_dim) text encodings.
        seed: of this picture.
        instruction: pictures with the same one are likely to change alike.
        forced: (S,) int64, codes that are given, ``FREE`` where the model decides; ``None`` leaves
            all free.
        scored: say afterwards how likely the codes were.
    """

    source_codes: Tensor
    text: Tensor
    seed: int
    instruction: str = ""
    forced: Tensor | None = None
    scored: bool = False


@dataclass(frozen=True, kw_only=True)
class Score:
    """How likely the codes that the model decided were, at temperature 1 and unfiltered; means.

    Args:
        likelihood: of log p under the guided distribution that they were drawn from.
        ratio: of log p(code | image, text) - log p(code | image, null text), over the guided
            codes; ``None`` where nothing is guided.
    """

    likelihood: float
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A finished picture.

    Args:
        index: of its request.
        codes: (S,) int64 in [0, V).
        passes: runs of the transformer behind its prefix in which it took part.
        score: where the request asked for it and the model decided at least one code.
    """

    index: int
    codes: Tensor
    passes: int
    score: Score | None = None


class Board:
    """What is known of each row's picture; arrays are (rows, S) or (rows,)."""

    def __init__(self, rows: int, codes: int) -> None:
        self.total = codes
        self.source: Codes = np.zeros((rows, codes), np.int64)
        self.forced: Codes = np.full((rows, codes), FREE, np.int64)
        self.codes: Codes = np.zeros((rows, codes), np.int64)
        self.next: Codes = np.zeros(rows, np.int64)
        self.forced_run: Codes = np.zeros((rows, codes + 1), np.int64)
        self.passes: Codes = np.zeros(rows, np.int64)
        self.index: list[int] = [-1] * rows
        self.instruction: list[str] = [""] * rows
        self.seeds: Codes = np.zeros(rows, np.int64)
        self.scored: NDArray[np.bool_] = np.zeros(rows, np.bool_)
        # As ``Rows.score`` gives them; of forced codes they mean nothing.
        self.scores: NDArray[np.float32] = np.zeros((rows, codes, 2), np.float32)

    def place(self, row: int, index: int, request: Request) -> None:
        """A new picture in a row."""
        self.source[row] = request.source_codes.cpu().numpy()
        if request.forced is None:
            self.forced[row] = FREE
        else:
            self.forced[row] = request.forced.cpu().numpy()
        self.forced_run[row, :-1] = run_lengths(self.forced[row] != FREE)
        self.next[row] = 0
        self.passes[row] = 0
        self.index[row] = index
        self.instruction[row] = request.instruction
        self.seeds[row] = request.seed
        self.scored[row] = request.scored

    def move(self, source: int, target: int) -> None:
        """Row ``target`` becomes row ``source``."""
        for array in (
            self.source, self.forced, self.codes, self.next, self.forced_run, self.passes,
            self.seeds, self.scored,
        ):  # fmt: skip
            array[target] = array[source]
        self.index[target] = self.index[source]
        self.instruction[target] = self.instruction[source]
        if self.scored[source]:
            self.scores[target] = self.scores[source]

    def finished(self, row: int) -> bool:
        """Whether all codes are known: those that stand and forced ones up to the end."""
        at = self.next[row]
        return bool(at + self.forced_run[row, at] >= self.total)

    def score(self, row: int, guided: int) -> Score | None:
        """Of a finished picture whose first ``guided`` codes were guided."""
        free = self.forced[row] == FREE
        if not self.scored[row] or not free.any():
            return None
        # In double precision: the order of the sum does not show.
        scores = self.scores[row].astype(np.float64)
        raised = scores[:guided, 1][free[:guided]]
        return Score(
            likelihood=float(scores[free, 0].mean()),
            ratio=float(raised.mean()) if len(raised) else None,
        )


def run_lengths(marked: NDArray[np.bool_]) -> Codes:
    """(S,) bool -> (S,) int64: how many in a row are marked from each place on."""
    lengths = np.zeros(len(marked), np.int64)
    run = 0
    for place in range(len(marked) - 1, -1, -1):
        run = run + 1 if marked[place] else 0
        lengths[place] = run
    return lengths


class Strategy(Protocol):
    """Says what the next codes might be."""

    least_window: int

    def begin(self, board: Board) -> None:
        """A run begins: ``board`` is empty."""

    def start(self, board: Board, row: int) -> None:
        """A new picture is in a row; its code 0 stands."""

    def move(self, source: int, target: int) -> None:
        """Row ``target`` becomes row ``source``."""

    def guess(self, board: Board, rows: int, count: int) -> Codes:
        """Guesses of the first ``rows`` rows for the ``count`` codes from ``next`` on.

        Returns:
            (rows, count) codes; what is forced or beyond a picture's end does not matter.
        """

    def expect(self, guessed: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many free codes will stand after a pass that looks at so many, the first included."""

    def learn(
        self, board: Board, row: int, start: int, guesses: Codes, picks: Codes, kept: int
    ) -> None:
        """After a pass: codes ``start`` .. ``start + kept`` of a row stand now.

        Args:
            board: with ``next`` moved on.
            row: the row.
            start: index of the first code that was drawn.
            guesses: (N - 1,) what was guessed for the codes from ``start`` on.
            picks: (N,) what was drawn from there on, the rest after wrong codes.
            kept: how many stand.
        """


class PassCost:
    """Seconds of a pass as a line over the codes it reads, learnt as passes go by.

    Only relations matter. Before anything is measured, ``free`` codes cost as much as the pass
    itself does.
    """

    def __init__(self, free: float) -> None:
        # Weighted sums of 1, n, n * n, seconds and n * seconds; old passes fade.
        self._sums: NDArray[np.float64] | None = None
        self._free = free

    def seconds(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of passes over so many codes, up to a constant factor."""
        if self._sums is None:
            return 1.0 + codes / self._free
        one, n, nn, s, ns = self._sums
        slope = max(0.0, (one * ns - n * s) / max(one * nn - n * n, 1e-9))
        base = max((s - slope * n) / one, 0.05 * s / one)
        line: NDArray[np.float64] = base + slope * codes
        return line

    def measured(self, codes: int, seconds: float) -> None:
        """A pass over ``codes`` codes took ``seconds``."""
        if self._sums is None:
            # Two imagined passes give the line its first slope.
            unit = seconds / (1.0 + codes / self._free)
            self._sums = np.zeros(5)
            for count in (1, 64):
                self._add(count, unit * (1.0 + count / self._free), 1.0)
        expected = self.seconds(np.array([codes]))[0]
        # A pass that was interrupted says nothing about passes.
        self._sums *= 0.98
        self._add(codes, min(seconds, 2 * expected), 1.0)

    def _add(self, codes: int, seconds: float, weight: float) -> None:
        assert self._sums is not None
        self._sums += weight * np.array([1.0, codes, codes * codes, seconds, codes * seconds])


@torch.inference_mode()
def decode(
    model: EditARTransformer,
    requests: Iterable[Request],
    sampling: SamplingConfig,
    strategy: Strategy,
    *,
    rows: Rows | int,
    window: int | None = None,
    on_codes: Callable[[int], None] = lambda count: None,
) -> Iterator[Decoded]:
    """Decode pictures, as many at a time as there are rows; a finished one makes room for another.

    Args:
        model: in evaluation mode.
        requests: taken as rows become free.
        sampling: of all pictures.
        strategy: guesses.
        rows: rows made for this model and these settings, or how many to make, 1 or more.
        window: codes per pass; chosen pass by pass where left out.
        on_codes: told how many codes have come to stand since the last time.

    Yields:
        Pictures as they are finished, not in the order of the requests.
    """
    rows = Rows(model, rows, sampling) if isinstance(rows, int) else rows
    loop = _Loop(rows, strategy, window, on_codes)
    waiting = enumerate(requests)
    while True:
        new = list(islice(waiting, rows.count - loop.active))
        if not new and not loop.active:
            return
        yield from loop.admit(new)
        if loop.active:
            yield from loop.advance()


class _Loop:
    """The first ``active`` rows hold pictures."""

    def __init__(
        self,
        rows: Rows,
        strategy: Strategy,
        window: int | None,
        on_codes: Callable[[int], None],
    ) -> None:
        self.rows = rows
        self.board = Board(rows.count, rows.layout.codes)
        strategy.begin(self.board)
        self.strategy = strategy
        self.window = window
        self.on_codes = on_codes
        self.active = 0
        self.last = 0
        self.cost = PassCost(free=8.0 if self.rows.device.type == "cpu" else 256.0)

    def admit(self, new: Sequence[tuple[int, Request]]) -> Iterator[Decoded]:
        """Put pictures into free rows; those with nothing to decide are finished at once."""
        board = self.board
        fresh: list[tuple[int, Request]] = []
        twins: list[tuple[int, int, Request]] = []
        residents = self.active
        for index, request in new:
            if request.forced is not None and bool((request.forced != FREE).all()):
                self.on_codes(board.total)
                yield Decoded(index=index, codes=request.forced, passes=0)
                continue
            row = self.active
            board.place(row, index, request)
            twin = self._twin(row)
            if twin is None:
                fresh.append((row, request))
            else:
                twins.append((twin, row, request))
            self.active += 1
        if self.active == residents:
            return
        first = torch.empty(self.active, self.rows.model.config.vocab_size, device=self.rows.device)
        for run in _consecutive(fresh):
            begin = run[0][0]
            first[begin : begin + len(run)] = self.rows.fill(
                begin,
                torch.stack([request.source_codes for _, request in run]),
                torch.stack([request.text for _, request in run]),
            )
        for twin, row, request in twins:
            first[row] = self.rows.fill_again(twin, row, request.text[None])[0]
        seeds = self._seeds(slice(residents, self.active))
        picks = sample(first[residents:], seeds, 0, self.rows.sampling)
        drawn = picks.tolist()
        new_rows = slice(residents, self.active)
        if board.scored[new_rows].any():
            opening = self.rows.opening[new_rows]
            scores = self.rows.score(opening, first[new_rows], picks)
            board.scores[new_rows, 0] = scores.cpu().numpy()
        for row in range(residents, self.active):
            given = board.forced[row, 0]
            board.codes[row, 0] = drawn[row - residents] if given == FREE else given
            board.next[row] = 1
            self.strategy.start(board, row)
        self.on_codes(self.active - residents)
        yield from self._release()

    def advance(self) -> Iterator[Decoded]:
        """One pass; the pictures that are finished by it."""
        board, active, total = self.board, self.active, self.board.total
        start = board.next[:active].copy()
        left = total - start
        at = np.minimum(start[:, None] + np.arange(left.max()), total - 1)
        forced = np.take_along_axis(board.forced[:active], at, axis=1)
        count = self._choose(forced == FREE, left)
        forced = forced[:, :count]
        guesses = self.strategy.guess(board, active, count - 1)
        guesses = np.where(forced[:, :-1] != FREE, forced[:, :-1], guesses)

        begun = perf_counter()
        tokens = np.concatenate([board.codes[np.arange(active), start - 1][:, None], guesses], 1)
        skip = int(min(self._runs().min(), count - 1))
        drawing = (
            torch.from_numpy(tokens).to(self.rows.device),
            (start - 1).tolist(),
            self._seeds(slice(0, active)),
            skip,
        )
        scores: NDArray[np.float32] | None = None
        if board.scored[:active].any():
            drawn, found = self.rows.draw_scored(*drawing)
            scores = found.cpu().numpy()
        else:
            drawn = self.rows.draw(*drawing)
        picks = np.concatenate([guesses[:, :skip], drawn.cpu().numpy()], axis=1)
        picks = np.where(forced != FREE, forced, picks)
        self.cost.measured(active * count, perf_counter() - begun)

        agree = np.cumprod(picks[:, :-1] == guesses, axis=1).sum(axis=1)
        kept = np.minimum(agree + 1, left)
        for row in range(active):
            stands = int(kept[row])
            begin = int(start[row])
            board.codes[row, begin : begin + stands] = picks[row, :stands]
            if scores is not None and stands > skip:
                board.scores[row, begin + skip : begin + stands] = scores[row, : stands - skip]
            board.next[row] = begin + stands
            board.passes[row] += 1
            self.strategy.learn(board, row, begin, guesses[row], picks[row], stands)
        self.on_codes(int(kept.sum()))
        yield from self._release()

    def _runs(self) -> Codes:
        """(rows,) forced codes from ``next`` on."""
        rows = np.arange(self.active)
        runs: Codes = self.board.forced_run[rows, self.board.next[: self.active]]
        return runs

    def _choose(self, free: NDArray[np.bool_], left: Codes) -> int:
        """The number of codes that brings most codes per second; ``free`` is (rows, most)."""
        most = int(free.shape[1])
        shortest = min(most, int(self._runs().min()) + 1)
        if self.window is not None:
            return min(most, max(self.window, shortest))
        least = min(most, max(self.strategy.least_window, shortest))
        sizes: Codes = np.array(sorted({least, most, *(s for s in WINDOWS if least < s < most)}))
        undecided = np.cumsum(free, axis=1)[:, sizes - 1].astype(np.float64)
        share = self.strategy.expect(undecided) / np.maximum(undecided, 1.0)
        gained = np.where(undecided > 0, share, 1.0) * sizes
        gained = np.minimum(gained, left[:, None]).sum(axis=0)
        rates = gained / self.cost.seconds(len(left) * sizes)
        # Of sizes that serve nearly alike the last one, since a window that changes throws away
        # what was drawn ahead; else the largest.
        good = sizes[rates >= 0.9 * rates.max()]
        if self.last not in good:
            self.last = int(sizes[rates >= 0.95 * rates.max()].max())
        return self.last

    def _seeds(self, rows: slice) -> Tensor:
        return torch.from_numpy(self.board.seeds[rows]).to(self.rows.device)

    def _twin(self, row: int) -> int | None:
        """A row before this one with the same picture."""
        same = (self.board.source[:row] == self.board.source[row]).all(axis=1)
        return int(same.argmax()) if same.any() else None

    def _release(self) -> Iterator[Decoded]:
        board = self.board
        for row in range(self.active - 1, -1, -1):
            if not board.finished(row):
                continue
            at = board.next[row]
            codes = board.codes[row].copy()
            codes[at:] = board.forced[row, at:]
            self.on_codes(int(board.total - at))
            done = Decoded(
                index=board.index[row],
                codes=torch.from_numpy(codes).to(self.rows.device),
                passes=int(board.passes[row]),
                score=board.score(row, self.rows.guided),
            )
            self.active -= 1
            if row != self.active:
                # The last picture moves up, so that the rows in use stay together.
                self.rows.copy(self.active, row)
                board.move(self.active, row)
                self.strategy.move(self.active, row)
            yield done


def _consecutive(items: list[tuple[int, Request]]) -> Iterator[list[tuple[int, Request]]]:
    run: list[tuple[int, Request]] = []
    for item in items:
        if run and item[0] != run[-1][0] + 1:
            yield run
            run = []
        run.append(item)
    if run:
        yield run
