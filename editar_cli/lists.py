"""Lists of pictures: ``--from-file`` in plain text, CSV or JSON lines."""

import csv
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editar_cli.errors import UsageError

STREAM = "-"
_TEXT = ("instruction", "caption")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture of a list.

    Args:
        image: the file.
        key: its path as the list has it, for its seed and its place below the output folder.
        text: its instruction or caption, ``None`` where the list has none for it.
        seed: its own seed, or ``None``.
        output: where its result goes, or ``None`` for where the command line says.
        mask: white where it may change, or ``None``.
    """

    image: Path
    key: str
    text: str | None = None
    seed: int | None = None
    output: Path | None = None
    mask: Path | None = None


def read_list(name: str) -> list[Row]:
    """Read ``name``; ``-`` is standard input.

    A ``.csv`` file has a line of column names, a ``.jsonl`` file one object a line; of both,
    ``image`` is needed, and ``instruction`` or ``caption``, ``mask``, ``seed`` and ``output`` may
    be there. Anything else is plain text with one path a line. On standard input the first line
    tells which it is. Paths are relative to the working directory.

    Raises:
        UsageError: the list cannot be read, is empty, or a row is wrong; names list and line.
    """
    try:
        if name == STREAM:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        else:
            text = Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"--from-file {name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--from-file {name}: is not UTF-8 text: {error}") from error
    where = "standard input" if name == STREAM else name
    records = list(_records(text, Path(name).suffix.lower(), where))
    if not records:
        raise UsageError(f"--from-file {where}: names no pictures")
    shared = _common_folder([str(record["image"]) for _, record in records])
    return [_row(record, f"{where}:{line}", shared) for line, record in records]


def _records(text: str, suffix: str, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, record) with at least an image."""
    first = text.lstrip().split("\n", 1)[0].strip()
    columns = [name.strip().strip('"') for name in first.lower().split(",")]
    # Not splitlines(): it would also part a line at signs that captions and names may hold.
    lines = text.split("\n")
    if suffix == ".jsonl" or (suffix != ".csv" and first.startswith("{")):
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _object(line, f"{where}:{number}")
    elif suffix == ".csv" or "image" in columns:
        try:
            yield from _csv_records(text, where)
        except csv.Error as error:
            raise UsageError(f"{where}: cannot be read as CSV: {error}") from error
    else:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, {"image": line.strip()}


def _csv_records(text: str, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    reader.fieldnames = [(field or "").strip().lower() for field in reader.fieldnames or ()]
    if "image" not in reader.fieldnames:
        raise UsageError(f"{where}: its first line must name the columns, image among them")
    for record in reader:
        if None in record:
            raise UsageError(
                f"{where}:{reader.line_num}: has more fields than there are columns; a text "
                "with a comma needs double quotes"
            )
        kept = {key: value for key, value in record.items() if value not in (None, "")}
        if kept:
            yield reader.line_num, _with_image(kept, f"{where}:{reader.line_num}")


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise UsageError(f"{where}: must be a JSON object")
    return _with_image({key: value for key, value in record.items() if value is not None}, where)


def _with_image(record: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if not isinstance(record.get("image"), str) or not record["image"].strip():
        raise UsageError(f"{where}: names no image")
    return record


def _row(record: Mapping[str, Any], where: str, shared: str | None) -> Row:
    image = Path(record["image"].strip())
    # Not Path.is_file(): it raises for a line too long to be a name.
    if not os.path.isfile(image):
        raise UsageError(f"{where}: {image}: no such file")
    given = [name for name in _TEXT if name in record]
    if len(given) > 1:
        raise UsageError(f"{where}: has an instruction and a caption; give one of them")
    text = record[given[0]] if given else None
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{where}: {given[0]} {text!r} must be text")
    files: dict[str, Path | None] = {}
    for name in ("mask", "output"):
        value = record.get(name)
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise UsageError(f"{where}: {name} {value!r} must be a file name")
        files[name] = None if value is None else Path(value.strip())
    mask = files["mask"]
    if mask is not None and not os.path.isfile(mask):
        raise UsageError(f"{where}: {mask}: no such file")
    return Row(
        image=image,
        key=_key(str(image), shared),
        text=text,
        seed=_seed(record.get("seed"), where),
        output=files["output"],
        mask=mask,
    )


def _seed(value: object, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UsageError(f"{where}: seed {value!r} must be a whole number")


def _common_folder(names: list[str]) -> str | None:
    """The folder that all absolute paths share; relative ones keep theirs."""
    absolute = [os.path.dirname(os.path.normpath(name)) for name in names if os.path.isabs(name)]
    return os.path.commonpath(absolute) if absolute else None


def _key(name: str, shared: str | None) -> str:
    if os.path.isabs(name):
        name = os.path.relpath(os.path.normpath(name), shared)
    parts = [part for part in Path(os.path.normpath(name)).parts if part != os.pardir]
    return "/".join(parts)
