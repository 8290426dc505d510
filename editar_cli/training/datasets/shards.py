"""WebDataset shards: tar files in which the members of one pair share a stem.

::

    000017.source.jpg   000017.target.jpg   000017.txt      or 000017.json with "instruction"
"""

import json

from editar_cli.training.datasets._schema import BadRowError, RawPair, Row, Schema, encoded, words
from editar_cli.training.datasets.folder import TEXT

SOURCE = ("source", "input", "original", "before")
TARGET = ("target", "output", "edited", "after")


def _pair(row: Row, draw: float) -> RawPair:
    return RawPair(
        source=encoded(row, _member(row, SOURCE)),
        target=encoded(row, _member(row, TARGET)),
        instruction=_instruction(row),
    )


def _member(row: Row, roles: tuple[str, ...]) -> str:
    """The member of a role: its extension begins with the role's name."""
    return next((name for role in roles for name in row if name.split(".")[0] == role), roles[0])


def _instruction(row: Row) -> str:
    try:
        if "json" in row:
            record = json.loads(row["json"])
            return words(record if isinstance(record, dict) else {}, *TEXT)
        found = next((n for n in row if n == "txt" or n in (f"{t}.txt" for t in TEXT)), "")
        return words({TEXT[0]: row[found].decode("utf-8") if found else ""}, TEXT[0])
    except ValueError as error:
        raise BadRowError("unreadable", f"its text cannot be read: {error}") from error


SCHEMA = Schema(name="webdataset", columns=(), pair=_pair)
