"""Many output codes per pass: guess them, check them all at once, keep the run that is right.

The noise of a code is fixed by seed, position and code (``sampling.gumbel_noise``), so what a pass
draws at a place depends on the codes before it alone. Two things guess:

- the **source**: an edit that keeps a cell keeps its code;
- **Jacobi iteration** (arXiv 2002.03629 for the idea, 2410.01699 for images): what the last pass
  drew behind a wrong guess. With the same noise in every pass these draws settle quickly, since
  most of what decides a code is the source picture, which all passes see.

Measured on the embedded model, Jacobi guesses carry nearly everything, for looks too, where one
source code in fifty survives; a table of source codes to edited codes, learnt from pictures with
the same instruction, gained at most 0.01 passes per code and was left out.
"""

import math

import numpy as np
from numpy.typing import NDArray

from editar_cli.decoding.decoder import Board, Codes

# Weight of a pass in the fading means, once there have been many.
MEMORY = 0.02


class Speculative:
    """Guesses from the source picture and from earlier passes.

    One object may serve many runs: it keeps what it learns about how far guesses hold.

    Args:
        most: guesses of a row that are worth a pass: a processor that is busy with a few codes
            should not be led by the noise in what passes take.
    """

    least_window = 2  # costs what one code costs, and shows whether guessing pays

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._drawn: Codes = np.zeros((0, 0), np.int64)
        # Fading means of the codes guessed in a pass and of those that stood after it.
        self._guessed, self._stood = 16.0, 4.0
        self._passes = 4  # that these first values count for

    def begin(self, board: Board) -> None:
        """A run begins: ``board`` is empty."""
        self._drawn = np.zeros_like(board.codes)

    def start(self, board: Board, row: int) -> None:
        """Before anything is drawn, the source is the guess."""
        self._drawn[row] = board.source[row]

    def move(self, source: int, target: int) -> None:
        """Row ``target`` becomes row ``source``."""
        self._drawn[target] = self._drawn[source]

    def guess(self, board: Board, rows: int, count: int) -> Codes:
        """What was drawn last for each place, or its source code."""
        at = np.minimum(board.next[:rows, None] + np.arange(count), board.total - 1)
        guesses: Codes = np.take_along_axis(self._drawn[:rows], at, axis=1)
        return guesses

    def expect(self, guessed: NDArray[np.float64]) -> NDArray[np.float64]:
        """A power of the number of guesses: 2.1, 3.1, 5, 7 and 10 of 4, 8, 16, 32 and 64 stand on
        the embedded model, a power of 0.56; the exponent follows what is seen."""
        exponent = math.log(self._stood) / math.log(self._guessed)
        expected: NDArray[np.float64] = np.minimum(guessed, self._most) ** exponent
        return expected

    def learn(
        self, board: Board, row: int, start: int, guesses: Codes, picks: Codes, kept: int
    ) -> None:
        """Remember draws behind the first wrong guess, and how far the guesses held."""
        stop = start + len(picks)
        if stop <= board.total:
            free = board.forced[row, start:stop] < 0
            guessed, stood = int(free.sum()), int(free[:kept].sum())
            if guessed > 1 and stood:
                self._passes += 1
                weight = max(MEMORY, 1 / self._passes)
                self._guessed += weight * (guessed - self._guessed)
                self._stood += weight * (stood - self._stood)
        stop = min(stop, board.total)
        self._drawn[row, start:stop] = picks[: stop - start]
