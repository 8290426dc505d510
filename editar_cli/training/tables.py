"""Local tables of rows that can be read at any place: files, Arrow folders, parquet."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import TrainingError
from editar_cli.training.datasets._schema import BadRowError, Row, Schema

GROUPS_TOGETHER = 4
"""Row groups of parquet whose rows are mixed with each other; so many are kept in memory."""


class Table(Protocol):
    """Rows by number."""

    def __len__(self) -> int:
        """Number of rows."""

    def row(self, index: int) -> Row:
        """Row ``index``; its pictures are not decoded.

        Raises:
            BadRowError: its place in the file is damaged.
        """

    def name(self, index: int) -> str:
        """What reports call row ``index``."""

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) a random order of all rows in which the table can be read fast."""


class FileTable:
    """Rows that name files; the files are read with the row's pair."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Row:
        """Row ``index``."""
        return self._rows[index]

    def name(self, index: int) -> str:
        """Its own name."""
        return str(self._rows[index]["name"])

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) any order will do."""
        return rng.permutation(len(self))


class ArrowTable:
    """A folder that ``datasets`` saved, or its ``.arrow`` files; mapped, not read, into memory."""

    def __init__(self, path: Path, split: str) -> None:
        import datasets

        try:
            if _saved(path):
                found: Any = datasets.load_from_disk(str(path))
            else:
                files = sorted(path.rglob("*.arrow")) if path.is_dir() else [path]
                files = of_split(files, split)
                parts = [datasets.Dataset.from_file(str(file)) for file in files]
                found = datasets.concatenate_datasets(parts)
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path}: cannot be read as a data set: {error}") from error
        if isinstance(found, datasets.DatasetDict):
            if split not in found:
                raise TrainingError(
                    f"{path}: has no split {split!r}; there are: {', '.join(found)}"
                )
            found = found[split]
        self._rows = undecoded(found)
        self._path = path
        self.columns = frozenset(self._rows.column_names)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Row:
        """Row ``index``."""
        try:
            row: Row = self._rows[int(index)]
        except (OSError, ValueError) as error:
            raise BadRowError("unreadable", f"its place in the file is damaged: {error}") from error
        return row

    def name(self, index: int) -> str:
        """Folder and number."""
        return f"{self._path.name}:{index}"

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) any order will do."""
        return rng.permutation(len(self))


class ParquetTable:
    """Parquet files, read by row group.

    A row alone cannot be had from parquet, so its order keeps to ``GROUPS_TOGETHER`` groups at a
    time: groups are permuted, and the rows of neighbouring ones among each other.
    """

    def __init__(self, files: Sequence[Path], columns: frozenset[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._files: list[tuple[Path, Any]] = []
        self._groups: list[tuple[int, int]] = []  # file, row group in it
        sizes: list[int] = []
        present: set[str] = set()
        for number, file in enumerate(files):
            try:
                opened = pq.ParquetFile(file)
            except (OSError, pa.ArrowException) as error:
                raise TrainingError(f"{file}: cannot be read as parquet: {error}") from error
            self._files.append((file, opened))
            present |= set(opened.schema_arrow.names)
            for group in range(opened.metadata.num_row_groups):
                self._groups.append((number, group))
                sizes.append(opened.metadata.row_group(group).num_rows)
        self.columns = frozenset(present)
        self._wanted = columns
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._read: OrderedDict[int, list[Row]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def row(self, index: int) -> Row:
        """Row ``index``."""
        group, place = self._place(index)
        if group not in self._read:
            number, part = self._groups[group]
            opened = self._files[number][1]
            wanted = [name for name in opened.schema_arrow.names if name in self._wanted]
            try:
                self._read[group] = opened.read_row_group(part, columns=wanted).to_pylist()
            except (OSError, ValueError) as error:
                raise BadRowError(
                    "unreadable", f"its row group {part} is damaged: {error}"
                ) from error
            if len(self._read) > GROUPS_TOGETHER:
                self._read.popitem(last=False)
        return self._read[group][place]

    def name(self, index: int) -> str:
        """File and number of the row in it."""
        number = self._groups[self._place(index)[0]][0]
        first = next(g for g, (file, _) in enumerate(self._groups) if file == number)
        return f"{self._files[number][0].name}:{index - int(self._starts[first])}"

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) rows mixed within a few groups at a time."""
        groups = rng.permutation(len(self._groups))
        parts = []
        for start in range(0, len(groups), GROUPS_TOGETHER):
            together = groups[start : start + GROUPS_TOGETHER]
            rows = [np.arange(self._starts[g], self._starts[g + 1]) for g in together]
            parts.append(rng.permutation(np.concatenate(rows)))
        return np.concatenate(parts)

    def _place(self, index: int) -> tuple[int, int]:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        return group, index - int(self._starts[group])


def open_table(path: Path, split: str, schema: Schema) -> Table:
    """The table at ``path``: an Arrow folder, or parquet files in a folder or one of them.

    Args:
        path: folder or file.
        split: which split, where the folder has several.
        schema: whose columns it must have.

    Raises:
        TrainingError: there is no table, it cannot be read, is empty or lacks columns.
    """
    parquet = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    table: ArrowTable | ParquetTable
    if path.is_dir() and (_saved(path) or not parquet):
        if not _saved(path) and not any(path.rglob("*.arrow")):
            raise TrainingError(
                f"{path}: holds neither parquet nor Arrow files; a folder of pictures is of kind "
                '"folder"'
            )
        table = ArrowTable(path, split)
    elif path.suffix == ".arrow":
        table = ArrowTable(path, split)
    else:
        table = ParquetTable(of_split(parquet, split), schema.names)
    if absent := schema.missing(table.columns):
        raise TrainingError(
            f"{path}: has no column {absent[0]}, which data of kind {schema.name!r} has; its "
            f"columns are: {', '.join(sorted(table.columns))}"
        )
    if not len(table):
        raise TrainingError(f"{path}: holds no rows")
    return table


def of_split(files: Sequence[Path], split: str) -> list[Path]:
    """The files named after a split as the hub names them (``train-00000-of-00002.parquet``, or in
    a folder ``train/``); all of them where none is named so."""
    named = [f for f in files if f.name.split("-")[0] == split or f.parent.name == split]
    return named or list(files)


def undecoded(rows: Any) -> Any:
    """A ``datasets`` table or stream that leaves pictures as bytes."""
    import datasets

    for column, feature in (rows.features or {}).items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows


def _saved(path: Path) -> bool:
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()
