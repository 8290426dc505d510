"""Rows that can only be read in order: data sets of the hub and tar shards.

A stream is a list of shards. Each pass reads them in a random order of its own; within a pass, rows
are mixed in windows of so many neighbours. What row comes when is a function of seed and number
alone, and the place where a window begins is remembered, so that a resumed run opens the shard it
stopped in and reads none before it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from editar_cli.errors import TrainingError
from editar_cli.training.datasets._schema import Row, Schema
from editar_cli.training.tables import undecoded

WINDOWS_KEPT = 3
"""Samples are fetched some batches ahead, so that neighbours of the last window may be asked for
after the first row of the next."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A part of a stream.

    Args:
        name: what reports call it.
        open: rows from its beginning.
    """

    name: str
    open: Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Place:
    """A row of a stream: pass, position of its shard in that pass, row in the shard."""

    round: int = 0
    shard: int = 0
    row: int = 0


class RowStream:
    """Rows of shards, mixed in windows.

    Args:
        shards: at least one.
        seed: of the order.
        window: rows that are mixed with each other, and kept in memory three times.
        damaged: told of a shard that breaks off, with the reason; the stream goes on behind it.

    Raises:
        TrainingError: no shard has a row that can be read.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        *,
        seed: Sequence[int],
        window: int,
        damaged: Callable[[str, str], None] = lambda name, why: None,
    ) -> None:
        self._shards = shards
        self._seed = list(seed)
        self._window = window
        self._damaged = damaged
        self._starts: dict[int, Place] = {0: Place()}
        self._windows: dict[int, list[tuple[str, Row]]] = {}
        self._next = -1  # the window that self._reader goes on with
        self._reader: Iterator[tuple[str, Row, Place]] = iter(())

    def fetch(self, number: int, attempt: int = 0) -> tuple[str, Row]:
        """Name and row number ``number`` of the endless stream; for another ``attempt`` than the
        first one of its neighbours."""
        window, place = divmod(number, self._window)
        order = np.random.default_rng([*self._seed, window]).permutation(self._window)
        return self._rows(window)[int(order[(place + attempt) % self._window])]

    def state(self, number: int) -> dict[str, int]:
        """Where the window of row ``number`` begins, for ``load_state`` of another process."""
        window = number // self._window
        start = self._starts.get(window)
        if start is None:
            # Not read yet: the last window that was begun leads there.
            window = max(self._starts)
            start = self._starts[window]
        return {"window": window, "round": start.round, "shard": start.shard, "row": start.row}

    def load_state(self, state: dict[str, int]) -> None:
        """Take up what ``state`` gave."""
        place = Place(int(state["round"]), int(state["shard"]), int(state["row"]))
        self._starts[int(state["window"])] = place

    def _rows(self, window: int) -> list[tuple[str, Row]]:
        while window not in self._windows:
            if not self._next <= window or self._next not in self._starts:
                self._next = max(w for w in self._starts if w <= window)
                self._reader = self._read(self._starts[self._next])
            rows: list[tuple[str, Row]] = []
            while len(rows) < self._window:
                name, row, after = next(self._reader)
                rows.append((name, row))
            self._windows[self._next] = rows
            self._next += 1
            self._starts[self._next] = after
            for old in [w for w in self._windows if w < self._next - WINDOWS_KEPT]:
                del self._windows[old]
                if old:
                    self._starts.pop(old, None)
        return self._windows[window]

    def _read(self, start: Place) -> Iterator[tuple[str, Row, Place]]:
        """(name, row, place behind it) for ever."""
        round_, shard, skip = start.round, start.shard, start.row
        found = True
        while True:
            order = np.random.default_rng([*self._seed, round_, 1]).permutation(len(self._shards))
            if shard == 0 and skip == 0:
                if not found:
                    names = ", ".join(s.name for s in self._shards[:3])
                    raise TrainingError(f"{names}: no row can be read")
                found = False
            for position in range(shard, len(order)):
                part = self._shards[int(order[position])]
                number = 0
                try:
                    for row in part.open():
                        number += 1
                        if number > skip:
                            found = True
                            yield (
                                f"{part.name}:{row.get('__key__', number - 1)}",
                                row,
                                Place(round_, position, number),
                            )
                except TrainingError:
                    raise
                except Exception as error:  # readers raise many kinds; each means the same here
                    self._damaged(part.name, f"breaks off after {number} rows: {error}")
                skip = 0
            round_, shard = round_ + 1, 0


def hub_shards(source: str, split: str, schema: Schema) -> tuple[list[Shard], int | None]:
    """A data set of the hub, or a folder in its layout, as ``datasets`` streams it.

    Args:
        source: repository name or local folder.
        split: which split.
        schema: whose columns are read.

    Returns:
        Its shards, and the number of rows where the hub says it.

    Raises:
        TrainingError: it cannot be opened or lacks columns.
    """
    import datasets

    try:
        rows: Any = datasets.load_dataset(source, split=split, streaming=True)
        columns = rows.column_names or list(next(iter(rows)))
    except (StopIteration, RuntimeError) as error:
        raise TrainingError(f"{source}: its split {split!r} holds no rows") from error
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{source}: cannot be opened ({error}); without a network, name a local copy with path"
        ) from error
    if absent := schema.missing(set(columns)):
        raise TrainingError(
            f"{source}: has no column {absent[0]}, which data of kind {schema.name!r} has; its "
            f"columns are: {', '.join(sorted(columns))}"
        )
    rows = undecoded(rows).select_columns([name for name in columns if name in schema.names])
    count = rows.num_shards
    known = (rows.info.splits or {}).get(split)

    def opener(index: int) -> Callable[[], Iterator[Row]]:
        return lambda: iter(rows.shard(count, index))

    shards = [Shard(name=f"{source}#{i}", open=opener(i)) for i in range(count)]
    return shards, None if known is None else int(known.num_examples)


def tar_shards(path: Path, damaged: Callable[[str, str], None]) -> list[Shard]:
    """WebDataset shards: one ``.tar``, or all in a folder.

    Args:
        path: file or folder.
        damaged: told of members that cannot be read; the rest of the shard is.

    Raises:
        TrainingError: there are none.
    """
    files = sorted(path.rglob("*.tar")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise TrainingError(f"{path}: no .tar shards there")

    def opener(file: Path) -> Callable[[], Iterator[Row]]:
        return lambda: _members(file, damaged)

    return [Shard(name=file.name, open=opener(file)) for file in files]


def _members(file: Path, damaged: Callable[[str, str], None]) -> Iterator[Row]:
    from webdataset.tariterators import group_by_keys, tar_file_expander

    def note(error: Exception) -> bool:
        damaged(file.name, str(error.args[0] if error.args else error))
        return True

    with file.open("rb") as stream:
        members = tar_file_expander([{"url": str(file), "stream": stream}], handler=note)
        yield from group_by_keys(members, handler=note)
