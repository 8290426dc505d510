"""What every data set comes down to: a row of columns, and the pair of pictures in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
"""Column -> value. A picture is its encoded bytes, a path, or a dict with either."""


class BadRowError(Exception):
    """A row that cannot be trained on. It is reported and skipped, and ends nothing.

    Args:
        kind: "unreadable", "size", "empty", "duplicate" or "missing".
        detail: what is wrong, for people.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class RawPair:
    """A source, its edited picture and the instruction, pictures as encoded files.

    Args:
        source: encoded picture; empty where the schema says that it is drawn.
        target: encoded picture.
        instruction: what the model is asked for, prompt template included.
    """

    source: bytes
    target: bytes
    instruction: str


@dataclass(frozen=True, kw_only=True)
class Schema:
    """One way to keep pairs in rows.

    Args:
        name: what a recipe calls it.
        columns: columns that every row has; an item with ``|`` needs one of its names.
        pair: row and a draw in [0, 1) -> pair. The draw decides what a sample may choose, such as
            the direction of a reversible edit.
        repository: where it is published on the hub; "" for forms that people fill themselves.
        source_map: the mode of ``translate`` whose map of the target is the source, drawn when the
            pair is prepared; "" where the source is a picture of its own.
        files: for forms made of plain files: path and the instructions of pairs that have none of
            their own -> all rows. ``None`` for tables and shards.
    """

    name: str
    columns: tuple[str, ...]
    pair: Callable[[Row, float], RawPair]
    repository: str = ""
    source_map: str = ""
    files: Callable[[Path, Sequence[str]], list[Row]] | None = None

    def missing(self, present: "frozenset[str] | set[str]") -> list[str]:
        """The columns of this schema that are not among ``present``."""
        return [need for need in self.columns if not set(need.split("|")) & present]

    @property
    def names(self) -> frozenset[str]:
        """Every column that a reader has to fetch where it is there."""
        return frozenset(name for need in self.columns for name in need.split("|"))


def encoded(row: Row, *names: str) -> bytes:
    """The encoded picture in the first of the columns ``names`` that the row has.

    Raises:
        BadRowError: there is none, or its file cannot be read.
    """
    column = next((name for name in names if row.get(name) is not None), names[0])
    value = row.get(column)
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray | memoryview):
        if not value:
            raise BadRowError("unreadable", f"{column} is empty")
        return bytes(value)
    if isinstance(value, str | Path) and str(value):
        try:
            return Path(value).read_bytes()
        except OSError as error:
            raise BadRowError("unreadable", f"{value}: {error.strerror or error}") from error
    raise BadRowError("missing", f"{column} holds no picture")


def words(row: Row, *names: str) -> str:
    """The text in the first of the columns ``names`` that is not blank, as it is written.

    Raises:
        BadRowError: all are blank or missing.
    """
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise BadRowError("empty", f"{names[0]} is empty")
