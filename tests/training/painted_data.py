"""A data folder as training expects it: photographs painted by formula, captions, depth scenes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 60, 44


def painted_photo(seed: int) -> NDArray[np.uint8]:
    """HWC uint8: a coloured sky over a darker ground, two discs and some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    sky, ground = rng.uniform(90, 250, 3), rng.uniform(10, 160, 3)
    picture = np.where((y > rng.uniform(0.4, 0.7))[..., None], ground, sky) * (
        1 - 0.3 * y[..., None]
    )
    for _ in range(2):
        centre, radius = rng.uniform(0.1, 1.0, 2), rng.uniform(0.1, 0.3)
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        picture[disc] = rng.uniform(0, 255, 3)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def write_data(folder: Path, *, photos: int = 6, scenes: int = 0) -> Path:
    (folder / "photos").mkdir(parents=True)
    captions = ["file\thint"]
    for i in range(photos):
        Image.fromarray(painted_photo(i)).save(folder / "photos" / f"{i:03d}.png")
        captions.append(f"{i:03d}.png\tpicture number {i}")
    (folder / "photos.tsv").write_text("\n".join(captions) + "\n", encoding="utf-8")
    if scenes:
        (folder / "scenes").mkdir()
    for i in range(scenes):
        near = np.repeat(np.linspace(0, 255, 32 * 32).reshape(32, 32, 1), 3, 2).astype(np.uint8)
        Image.fromarray(near).save(folder / "scenes" / f"{i}.depth.png")
        Image.fromarray(painted_photo(50 + i)[:32, :32]).save(folder / "scenes" / f"{i}.jpg")
    return folder
