"""One output code per pass: the plain order in which the model was trained."""

import numpy as np
from numpy.typing import NDArray

from editar_cli.decoding.decoder import Board, Codes


class Sequential:
    """Guesses nothing; runs of forced codes still enter in one pass."""

    least_window = 1

    def begin(self, board: Board) -> None:
        """Nothing to prepare."""

    def start(self, board: Board, row: int) -> None:
        """Nothing to prepare."""

    def move(self, source: int, target: int) -> None:
        """Nothing to move."""

    def guess(self, board: Board, rows: int, count: int) -> Codes:
        """Zeros."""
        return np.zeros((rows, count), np.int64)

    def expect(self, guessed: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first code alone."""
        return np.minimum(guessed, 1.0)

    def learn(
        self, board: Board, row: int, start: int, guesses: Codes, picks: Codes, kept: int
    ) -> None:
        """Nothing to learn."""
