"""The data of the benchmarks of maps, as the hub has it, and as files that a run can work with.

Two forms are read: a folder that ``datasets`` saved to disk, and the parquet files of a download.
Pictures stay the bytes that they are there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from editar_cli.errors import UsageError
from editar_cli.images import write_image

_BATCH = 16
"""Rows of parquet in memory at once."""
_SIGNS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}


@dataclass(frozen=True, kw_only=True)
class HubData:
    """A data set of photographs with maps.

    Args:
        repository: on the hub.
        split: which of its splits is scored on.
        photo: column of the photographs.
        map: column of the maps, or ``None`` where they are drawn of the photographs.
        captions: columns of captions; the first that holds one counts.
        labels: columns of class numbers by pixel, the first that is there; none by default.
    """

    repository: str
    split: str
    photo: str = "image"
    map: str | None = None
    captions: tuple[str, ...]
    labels: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """What a download is called."""
        return self.repository.rpartition("/")[2]

    @property
    def how_to_get(self) -> str:
        """One line that brings it."""
        return (
            f"hf download {self.repository} --repo-type dataset --include '*{self.split}*' "
            f"--local-dir {self.folder}, then --data {self.folder}"
        )


MULTIGEN = HubData(
    repository="limingcv/MultiGen-20M_depth_eval",
    split="validation",
    map="control_depth",
    captions=("text",),
)
COCO_STUFF = HubData(
    repository="limingcv/Captioned_COCOStuff",
    split="validation",
    map="control_seg",
    captions=("detailed_prompt", "prompt"),
    # ControlNet++ evaluates on the first of them.
    labels=("panoptic_seg_map", "semantic_seg_map"),
)


@dataclass(frozen=True, kw_only=True)
class MapCase:
    """One picture to make.

    Args:
        number: its row.
        caption: what it shows.
        photo: the photograph.
        map: the map that is given, or ``None`` where it is drawn of the photograph.
        labels: greyscale PNG of class numbers, or ``None``.
    """

    number: int
    caption: str
    photo: Path
    map: Path | None = None
    labels: Path | None = None

    @property
    def key(self) -> str:
        """Its name, of which the seed is derived."""
        return str(self.number)


def is_data(folder: Path) -> bool:
    """Whether a folder holds data in one of the two forms."""
    return _saved(folder) or any(folder.rglob("*.parquet"))


def unpack(
    data: HubData,
    folder: Path,
    to: Path,
    *,
    most: int | None = None,
    on_progress: Callable[[float, str], None] = lambda done, what: None,
) -> list[MapCase]:
    """The rows of a data set, their pictures as files; those that are there are left alone.

    Args:
        data: which.
        folder: holds it.
        to: folder for ``photo``, ``map`` and ``labels``.
        most: take so many of the first rows.
        on_progress: told how many rows are done.

    Raises:
        UsageError: it cannot be read, or has other columns.
        ImageError: a file cannot be written.
    """
    cases = []
    for number, row in enumerate(islice(_rows(data, folder), most)):
        labels = next((name for name in data.labels if row.get(name) is not None), None)
        captions = (row.get(name) for name in data.captions)
        cases.append(
            MapCase(
                number=number,
                caption=str(next((text for text in captions if text), "")),
                photo=_picture(row, data.photo, to / "photo", number, folder),
                map=None if data.map is None
                else _picture(row, data.map, to / "map", number, folder),
                labels=None if labels is None
                else _labels(row[labels], to / "labels" / f"{number}.png"),
            )
        )  # fmt: skip
        on_progress(number + 1, "unpacking")
    if not cases:
        raise UsageError(f"{folder}: the split {data.split} of {data.repository} is empty")
    return cases


def _saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _rows(data: HubData, folder: Path) -> Iterator[Mapping[str, Any]]:
    needed = [name for name in (data.photo, data.map) if name is not None]
    wanted = [*needed, *data.captions, *data.labels]
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: no such folder. {data.how_to_get}")
    if _saved(folder):
        columns, rows = _from_disk(data, folder, wanted)
    else:
        columns, rows = _from_parquet(data, folder, wanted)
    if missing := [name for name in needed if name not in columns]:
        raise UsageError(
            f"{folder}: has no column {missing[0]}, so it is not {data.repository}; there are "
            f"{', '.join(sorted(columns))}"
        )
    return rows


def _from_disk(
    data: HubData, folder: Path, wanted: Sequence[str]
) -> tuple[set[str], Iterator[Mapping[str, Any]]]:
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f'{folder}: was saved by the package datasets, which is missing: pip install "editar'
            '[bench]"'
        ) from error
    try:
        found: Any = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{folder}: cannot be read as a data set: {error}") from error
    if isinstance(found, datasets.DatasetDict):
        if data.split not in found:
            raise UsageError(f"{folder}: has no split {data.split}; there are {', '.join(found)}")
        found = found[data.split]
    columns = set(found.column_names)
    found = found.select_columns([name for name in wanted if name in columns])
    for name, feature in found.features.items():
        if isinstance(feature, datasets.Image):
            found = found.cast_column(name, datasets.Image(decode=False))
    return columns, iter(found)


def _from_parquet(
    data: HubData, folder: Path, wanted: Sequence[str]
) -> tuple[set[str], Iterator[Mapping[str, Any]]]:
    files = sorted(folder.rglob("*.parquet"))
    # As the hub names them: validation-00000-of-00004.parquet, or in a folder of that name.
    of_split = [file for file in files if data.split in (file.name.split("-")[0], file.parent.name)]
    if not files:
        raise UsageError(f"{folder}: holds no data set. {data.how_to_get}")
    if not of_split:
        raise UsageError(
            f"{folder}: none of its {len(files)} parquet files is of the split {data.split}"
        )
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise UsageError(
            f'{folder}: parquet files need pyarrow: pip install "editar[bench]"'
        ) from error
    try:
        opened = [parquet.ParquetFile(file) for file in of_split]
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{folder}: cannot be read as parquet: {error}") from error
    columns = set(opened[0].schema_arrow.names)
    kept = [name for name in wanted if name in columns]

    def rows() -> Iterator[Mapping[str, Any]]:
        for file in opened:
            for batch in file.iter_batches(batch_size=_BATCH, columns=kept):
                yield from batch.to_pylist()

    return columns, rows()


def _picture(row: Mapping[str, Any], column: str, folder: Path, number: int, data: Path) -> Path:
    value = row[column]
    content = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(content, bytes) or not content:
        raise UsageError(f"{data}: row {number}: {column} holds no picture")
    extension = next((e for sign, e in _SIGNS.items() if content.startswith(sign)), ".png")
    file = folder / f"{number}{extension}"
    if not file.is_file():
        write_image(file, content)
    return file


def _labels(rows: Any, file: Path) -> Path:
    """Rows of class numbers as a greyscale PNG."""
    if not file.is_file():
        buffer = BytesIO()
        Image.fromarray(np.asarray(rows, np.uint8)).save(buffer, "PNG")
        write_image(file, buffer.getvalue())
    return file
