"""Small data sets as the hub has them: pictures as bytes in named columns, of our own drawing."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from editar_cli.modes.segmentation import coco_colours


def png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def scene(number: int, side: int = 512) -> np.ndarray:
    """(S, S, 3) uint8: a sky, a ground and a ball."""
    image = Image.new("RGB", (side, side), (90, 140 + 9 * number, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, side * 3 // 5, side, side), fill=(70 + 20 * number, 120, 40))
    left = side // 8 * (number + 1)
    draw.ellipse((left, side // 3, left + side // 4, side // 3 + side // 4), fill=(200, 40, 30))
    return np.asarray(image)


def depth_map(number: int, side: int = 512) -> np.ndarray:
    """(S, S, 3) uint8: the nearer the lower."""
    rows = np.linspace(0, 250 - number, side).astype(np.uint8)
    return np.repeat(np.repeat(rows[:, None], side, 1)[..., None], 3, 2)


def label_map(number: int, side: int = 512) -> np.ndarray:
    """(S, S) uint8: two classes and a strip of none."""
    labels = np.full((side, side), 3 + number, np.uint8)
    labels[side // 2 :] = 120
    labels[: side // 8] = 255
    return labels


def columns(rows: int, *, labels: bool = True, side: int = 512) -> dict[str, list[Any]]:
    """What Captioned COCO-Stuff and MultiGen-20M have, in one."""
    found: dict[str, list[Any]] = {
        "image": [{"bytes": png(scene(n, side)), "path": None} for n in range(rows)],
        "control_depth": [{"bytes": png(depth_map(n, side)), "path": None} for n in range(rows)],
        "control_seg": [],
        "text": [f"a ball, number {n}" for n in range(rows)],
        "prompt": [f"a red ball {n}" for n in range(rows)],
        "detailed_prompt": [f"a red ball {n} on grass" if n else "" for n in range(rows)],
        "image_path": [f"{n:012}.jpg" for n in range(rows)],
    }
    for number in range(rows):
        classes = label_map(number, side)
        colours = coco_colours()[np.minimum(classes, 170)]
        colours[classes == 255] = 0
        found["control_seg"].append({"bytes": png(colours), "path": None})
    if labels:
        found["panoptic_seg_map"] = [label_map(n, side).tolist() for n in range(rows)]
    return found


def save_to_disk(folder: Path, rows: int, **more: Any) -> Path:
    """As ``datasets`` saves a set with a split."""
    import datasets

    table = datasets.Dataset.from_dict(columns(rows, **more))
    for name in ("image", "control_depth", "control_seg"):
        table = table.cast_column(name, datasets.Image())
    datasets.DatasetDict({"validation": table}).save_to_disk(str(folder))
    return folder


def save_parquet(folder: Path, rows: int, **more: Any) -> Path:
    """As the hub has it: one file, with the split's name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    table = pa.table(columns(rows, **more))
    pq.write_table(table, folder / "data/validation-00000-of-00001.parquet", row_group_size=2)
    return folder
