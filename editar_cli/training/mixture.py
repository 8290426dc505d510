"""Data sets mixed sample by sample: which row of which set sample number n is.

Everything is a function of seed and number, so that a resumed run sees what the undisturbed one
would have seen, and each of several processes can prepare its own share of a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import TrainingError
from editar_cli.training.datasets import SCHEMAS
from editar_cli.training.datasets._schema import Row, Schema
from editar_cli.training.recipe import DataConfig
from editar_cli.training.streams import RowStream, Shard, hub_shards, tar_shards
from editar_cli.training.tables import FileTable, Table, open_table

BLOCK = 4096  # samples whose draws are made together

# What a random stream is for, beside the run's seed; 1 and 2 are the editor stage's own.
SETS, ORDER, CHOICES, OTHERS = 3, 4, 5, 6

Damaged = Callable[[str, str], None]


class Rows(Protocol):
    """The rows of one set in the order they are trained on, without end."""

    def fetch(self, number: int, attempt: int = 0) -> tuple[str, Row]:
        """Name and row of the set's sample ``number``; where that row is bad, ``attempt`` 1, 2, ...
        gives others in its place."""

    def state(self, number: int) -> dict[str, int]:
        """What a resumed run needs to find sample ``number`` fast."""

    def load_state(self, state: dict[str, int]) -> None:
        """Take up what ``state`` gave."""


class TableRows:
    """Rows of a table: each pass has its own order, and each row comes once in it.

    Args:
        table: the rows.
        chosen: (N,) numbers of the rows that are trained on.
        seed: of the orders.
    """

    def __init__(self, table: Table, chosen: NDArray[np.int64], seed: Sequence[int]) -> None:
        assert len(chosen), "a set without rows is refused before"
        self._table = table
        self._chosen = np.zeros(len(table), np.bool_)
        self._chosen[chosen] = True
        self._count = len(chosen)
        self._seed = list(seed)
        self._orders: dict[int, NDArray[np.int64]] = {}

    def fetch(self, number: int, attempt: int = 0) -> tuple[str, Row]:
        """See ``Rows``."""
        if attempt:
            rng = np.random.default_rng([*self._seed, OTHERS, number, attempt])
            number = int(rng.integers(self._count)) + number // self._count * self._count
        round_, place = divmod(number, self._count)
        index = int(self._order(round_)[place])
        return self._table.name(index), self._table.row(index)

    def _order(self, round_: int) -> NDArray[np.int64]:
        if round_ not in self._orders:
            order = self._table.order(np.random.default_rng([*self._seed, round_]))
            self._orders[round_] = order[self._chosen[order]]
            # Samples are fetched ahead, and the last of a pass may be asked for again.
            for old in [r for r in self._orders if r < round_ - 1]:
                del self._orders[old]
        return self._orders[round_]

    def state(self, number: int) -> dict[str, int]:
        """Nothing: every row can be had at once."""
        return {}

    def load_state(self, state: dict[str, int]) -> None:
        """There is nothing to take up."""


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """One data set of a recipe, opened.

    Args:
        name: what reports and figures call it.
        config: its entry in the recipe.
        schema: what its rows look like.
        where: the file, folder or repository it is read from.
        table: its rows, where they can be read at any place.
        shards: its shards, where they can only be read in order.
        rows: how many there are, ``None`` where nobody says.
    """

    name: str
    config: DataConfig
    schema: Schema
    where: str
    table: Table | None
    shards: Sequence[Shard]
    rows: int | None


def open_sets(entries: Sequence[DataConfig], base: Path, damaged: Damaged) -> list[PairSet]:
    """Open every data set of a recipe.

    Args:
        entries: ``[[data]]`` or ``[[validation]]`` of a recipe.
        base: folder that their paths are relative to.
        damaged: told of shards that break off, whenever that is.

    Raises:
        TrainingError: a set is missing, cannot be read or has other columns.
    """
    found: list[PairSet] = []
    for entry in entries:
        names = {one.name for one in found}
        name = entry.kind
        if name in names:
            name = next(
                f"{name}-{i}" for i in range(2, len(names) + 3) if f"{name}-{i}" not in names
            )
        found.append(_open(entry, name, base, damaged))
    return found


def _open(entry: DataConfig, name: str, base: Path, damaged: Damaged) -> PairSet:
    schema = SCHEMAS[entry.kind]
    path = base / entry.path
    table: Table | None = None
    shards: Sequence[Shard] = ()
    where = str(path)
    if entry.hub and not (entry.path and path.exists()):
        shards, rows = hub_shards(entry.hub, entry.split, schema)
        where = entry.hub
    elif not path.exists():
        raise TrainingError(
            f"{path}: no such file or folder; paths of data sets are relative to --data"
        )
    elif schema is SCHEMAS["webdataset"]:
        shards, rows = tar_shards(path, damaged), None
    else:
        if schema.files is not None:
            table = FileTable(schema.files(path, entry.instructions))
        else:
            table = open_table(path, entry.split, schema)
        rows = len(table)
    return PairSet(
        name=name, config=entry, schema=schema, where=where, table=table, shards=shards, rows=rows
    )


@dataclass(frozen=True)
class Drawn:
    """One sample of a mixture: its number, its set, how many samples of that set came before it,
    and the draw in [0, 1) that its schema chooses with."""

    number: int
    which: int
    earlier: int
    choice: float


class Mixture:
    """Sets by weight, one draw per sample.

    Args:
        weights: how often each set is drawn, relative to the others.
        seed: of the draws.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        shares = np.asarray(weights, np.float64)
        self.shares = shares / shares.sum()
        self._edges = np.cumsum(self.shares)
        self._seed = seed

    def counts(self, samples: int) -> NDArray[np.int64]:
        """How many of the first ``samples`` samples are of each set."""
        counts = np.zeros(len(self.shares), np.int64)
        for block in range(-(-samples // BLOCK)):
            found = self._sets(block)[: samples - block * BLOCK]
            counts += np.bincount(found, minlength=len(counts))
        return counts

    def drawn(self, first: int) -> Iterator[Drawn]:
        """Samples from number ``first`` on, without end."""
        block, place = divmod(first, BLOCK)
        counts = self.counts(first)
        while True:
            choices = np.random.default_rng([self._seed, CHOICES, block]).random(BLOCK)
            for offset, which in enumerate(self._sets(block)[place:], place):
                yield Drawn(
                    block * BLOCK + offset, int(which), int(counts[which]), float(choices[offset])
                )
                counts[which] += 1
            block, place = block + 1, 0

    def _sets(self, block: int) -> NDArray[np.int64]:
        draws = np.random.default_rng([self._seed, SETS, block]).random(BLOCK)
        # The last edge may be below 1 by rounding.
        return np.minimum(np.searchsorted(self._edges, draws, side="right"), len(self.shares) - 1)


def rows_of(
    one: PairSet, number: int, chosen: NDArray[np.int64] | None, seed: int, damaged: Damaged
) -> Rows:
    """The rows of set ``number`` of a mixture in the order they are trained on.

    Args:
        one: the set.
        number: its place in the recipe; two sets with one seed have different orders.
        chosen: which rows of a table are trained on.
        seed: the run's.
        damaged: told of shards that break off.
    """
    if one.table is not None:
        assert chosen is not None
        return TableRows(one.table, chosen, [seed, ORDER, number])
    return RowStream(
        one.shards, seed=[seed, ORDER, number], window=one.config.window, damaged=damaged
    )
