"""Contact sheets: rows of equally large pictures in one file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP = 4


def save_sheet(path: Path, rows: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    """Write rows of HWC uint8 RGB pictures, all of one size, to ``path``."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (width + GAP), len(rows) * (height + GAP)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (x * (width + GAP), y * (height + GAP)))
    sheet.save(path)
