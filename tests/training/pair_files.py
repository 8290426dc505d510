"""Small data sets in every published schema, on disk as they are published."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.training.painted_data import painted_photo

SIZE = (48, 36)


def picture(seed: int, size: tuple[int, int] = SIZE, format: str = "PNG") -> bytes:
    """An encoded picture of its own for every seed."""
    file = io.BytesIO()
    Image.fromarray(painted_photo(seed)).resize(size).save(file, format)
    return file.getvalue()


def pixels(encoded: bytes) -> Any:
    with Image.open(io.BytesIO(encoded)) as image:
        return image.convert("RGB")


def stored(seed: int) -> dict[str, Any]:
    """A picture as an undecoded Image column of ``datasets`` holds it."""
    return {"bytes": picture(seed), "path": None}


def published_rows(kind: str, count: int) -> list[dict[str, Any]]:
    """Rows as the set's authors publish them: row i shows pictures 2 i and 2 i + 1."""
    return [_row(kind, i) for i in range(count)]


def _row(kind: str, i: int) -> dict[str, Any]:
    first, second = 2 * i, 2 * i + 1
    match kind:
        case "seed-data-edit":
            return {
                "source_image": picture(first),
                "target_image": picture(second),
                "instruction": f"edit {i}",
            }
        case "pipe":
            return {
                "source_img": stored(first),
                "target_img": stored(second),
                "Instruction_VLM-LLM": f"Add thing {i}",
                "Instruction_Class": f"add {i}",
                "img_id": str(i),
            }
        case "multigen-depth" | "multigen-canny":
            return {
                "image": stored(second),
                "control_depth": stored(first),
                "text": f"scene {i}",
            }
        case "coco-stuff":
            return {
                "image": stored(second),
                "control_seg": stored(first),
                "prompt": f"short {i}",
                "detailed_prompt": f"long {i}",
                "image_path": f"{i}.jpg",
                "semantic_seg_map": [[0, 1], [2, 3]],
                "panoptic_seg_map": [[0, 1], [2, 3]],
            }
        case "instruct-pix2pix":
            return {
                "original_prompt": "a field",
                "original_image": stored(first),
                "edit_prompt": f"edit {i}",
                "edited_prompt": "a snowy field",
                "edited_image": stored(second),
            }
        case "magic-brush":
            return {
                "img_id": str(i),
                "turn_index": 1,
                "source_img": stored(first),
                "mask_img": stored(first),
                "instruction": f"edit {i}",
                "target_img": stored(second),
            }
    raise AssertionError(kind)


def _dataset(rows: Sequence[Mapping[str, Any]], *, decoded: bool) -> Any:
    """``decoded`` marks pictures as the hub does, so that whoever reads them gets pictures."""
    import datasets

    found = datasets.Dataset.from_list(list(rows))
    if decoded:
        for name, value in rows[0].items():
            if isinstance(value, dict):
                found = found.cast_column(name, datasets.Image())
    return found


def write_arrow(folder: Path, rows: Sequence[Mapping[str, Any]], *, decoded: bool = False) -> Path:
    """A folder as ``save_to_disk`` leaves it."""
    _dataset(rows, decoded=decoded).save_to_disk(str(folder))
    return folder


def write_parquet(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    decoded: bool = True,
    split: str = "train",
    files: int = 2,
    group: int = 3,
) -> Path:
    """A folder as a hub repository has it: ``data/SPLIT-00000-of-00002.parquet``."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    per_file = -(-len(rows) // files)
    for i in range(files):
        part = _dataset(rows[i * per_file : (i + 1) * per_file], decoded=decoded)
        name = f"{split}-{i:05d}-of-{files:05d}.parquet"
        part.to_parquet(str(folder / "data" / name), batch_size=group)
    return folder


def write_folder(
    folder: Path, count: int, *, instruction: str | None = "edit {}", size: tuple[int, int] = SIZE
) -> Path:
    """``source/``, ``target/`` and captions.csv; pair i is p00i."""
    for half, offset in (("source", 0), ("target", 1)):
        (folder / half).mkdir(parents=True)
        for i in range(count):
            (folder / half / f"p{i:03d}.png").write_bytes(picture(2 * i + offset, size))
    if instruction is not None:
        lines = [
            "file,instruction",
            *(f"p{i:03d}.png,{instruction.format(i)}" for i in range(count)),
        ]
        (folder / "captions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_tar(file: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as shard:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    return file


def write_shards(folder: Path, counts: Sequence[int]) -> Path:
    """WebDataset shards, so many pairs in each; texts alternate between .txt and .json."""
    i = 0
    for number, count in enumerate(counts):
        members: list[tuple[str, bytes]] = []
        for _ in range(count):
            text = (
                (f"{i:04d}.txt", f"edit {i}".encode())
                if i % 2
                else (f"{i:04d}.json", json.dumps({"instruction": f"edit {i}"}).encode())
            )
            members += [
                (f"{i:04d}.source.png", picture(2 * i)),
                (f"{i:04d}.target.png", picture(2 * i + 1)),
                text,
            ]
            i += 1
        write_tar(folder / f"{number:05d}.tar", members)
    return folder
