"""A plain folder of pairs: ``source/`` and ``target/``, and what was done in a table.

::

    pairs/source/fox.jpg       pairs/target/fox.png       one stem, any format, folders below too
    pairs/captions.csv         file,instruction           or captions.jsonl; several rows per file
                                                          are several wordings

A recipe may give instructions for all pairs that the table leaves out; then no table is needed.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from editar_cli.errors import TrainingError
from editar_cli.images import is_picture_name
from editar_cli.training.datasets._schema import BadRowError, RawPair, Row, Schema, encoded

TABLES = ("captions.csv", "captions.jsonl")
FILE = ("file", "file_name", "image", "source")
TEXT = ("instruction", "caption", "text", "edit_prompt")


def wordings_pair(row: Row, draw: float) -> RawPair:
    """The pair of a row with the columns ``source``, ``target`` and a list ``instructions``."""
    texts = row["instructions"]
    if not texts:
        raise BadRowError("empty", "has no instruction")
    return RawPair(
        source=encoded(row, "source"),
        target=encoded(row, "target"),
        instruction=texts[int(draw * len(texts))],
    )


def is_pair_folder(path: Path) -> bool:
    """Whether a folder holds ``source/`` and ``target/``."""
    return (path / "source").is_dir() and (path / "target").is_dir()


def _rows(path: Path, instructions: Sequence[str]) -> list[Row]:
    """One row per stem, in the order of names; a missing half stays ``None``.

    Raises:
        TrainingError: there are no such folders, or their table cannot be read.
    """
    if not is_pair_folder(path):
        raise TrainingError(
            f"{path}: no folder of pairs: it must hold the folders source/ and target/ with "
            "pictures of the same names"
        )
    halves = [_by_stem(path / half) for half in ("source", "target")]
    texts = _texts(path)
    stems = sorted(set().union(*halves))
    if not stems:
        raise TrainingError(f"{path}: no pictures in source/ and target/")
    strangers = sorted(set(texts) - set(stems))
    if strangers and not set(texts) & set(stems):
        raise TrainingError(
            f"{path}: its table names {strangers[0]} and no picture of source/; the column "
            f"{FILE[0]} must hold their names"
        )
    return [
        {
            "name": stem,
            "source": halves[0].get(stem),
            "target": halves[1].get(stem),
            "instructions": texts.get(stem) or list(instructions),
        }
        for stem in stems
    ]


def _by_stem(folder: Path) -> dict[str, Path]:
    """Path below the folder without extension -> file.

    Raises:
        TrainingError: two pictures have one stem.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and is_picture_name(file) and not file.name.startswith("."):
            stem = file.relative_to(folder).with_suffix("").as_posix()
            if stem in found:
                raise TrainingError(f"{file}: {found[stem].name} has the same stem; rename one")
            found[stem] = file
    return found


def _texts(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in TABLES:
        table = path / name
        if table.is_file():
            for where, record in read_records(table):
                file, text = first(record, FILE), first(record, TEXT)
                if not file:
                    raise TrainingError(f"{where}: has no column {FILE[0]}, which names the pair")
                if text.strip():
                    found.setdefault(_stem(file), []).append(text)
    return found


def _stem(name: str) -> str:
    path = Path(name.strip())
    return (path.with_suffix("") if is_picture_name(path) else path).as_posix()


def read_records(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, record) of a .csv with column names, or a .jsonl of objects.

    Raises:
        TrainingError: the table cannot be read; names the line.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            if table.suffix.lower() == ".csv":
                for record in (reader := csv.DictReader(lines, skipinitialspace=True)):
                    if None in record:
                        raise TrainingError(
                            f"{table}:{reader.line_num}: has more fields than there are columns; a "
                            "text with a comma needs double quotes"
                        )
                    yield f"{table}:{reader.line_num}", record
                return
            for number, line in enumerate(lines, 1):
                if line.strip():
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise TrainingError(f"{table}:{number}: must be a JSON object")
                    yield f"{table}:{number}", record
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise TrainingError(f"{table}: cannot be read: {error}") from error


def first(record: dict[str, Any], names: Sequence[str]) -> str:
    """The first text among the columns ``names``, "" where there is none."""
    return next((v for name in names if isinstance(v := record.get(name), str) and v), "")


SCHEMA = Schema(
    name="folder",
    columns=("source", "target", "instructions"),
    pair=wordings_pair,
    files=_rows,
)
