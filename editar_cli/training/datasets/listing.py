"""One list of pairs, .jsonl or .csv: ``source``, ``target`` and ``instruction`` in each row.

Paths are relative to the list's own folder.
"""

from collections.abc import Sequence
from pathlib import Path

from editar_cli.errors import TrainingError
from editar_cli.training.datasets._schema import Row, Schema
from editar_cli.training.datasets.folder import TEXT, first, read_records, wordings_pair

SOURCE = ("source", "source_image", "input", "before")
TARGET = ("target", "target_image", "output", "after")


def _rows(path: Path, instructions: Sequence[str]) -> list[Row]:
    """One row per record.

    Raises:
        TrainingError: the list cannot be read, or names no pairs.
    """
    rows: list[Row] = []
    for where, record in read_records(path):
        source, target = first(record, SOURCE), first(record, TARGET)
        if not source or not target:
            raise TrainingError(f"{where}: must name a source and a target")
        text = first(record, TEXT)
        rows.append(
            {
                "name": source,
                "source": path.parent / source,
                "target": path.parent / target,
                "instructions": [text] if text.strip() else list(instructions),
            }
        )
    if not rows:
        raise TrainingError(f"{path}: names no pairs")
    return rows


SCHEMA = Schema(
    name="list",
    columns=("source", "target", "instructions"),
    pair=wordings_pair,
    files=_rows,
)
