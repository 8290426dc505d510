"""Cut-outs painted for the tests: plain shapes in one colour, with some light and shade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from editar_cli.synthesis.cutouts import Cutout, Cutouts

RED, GREEN, BLUE, YELLOW = (205, 40, 40), (50, 150, 60), (40, 90, 210), (240, 205, 50)
NAMES = ("dog", "cat", "red apple", "cup of tea", "grapes", "cloud", "teapot", "key")


def cutout(
    noun: str = "dog",
    colour: tuple[int, int, int] = RED,
    *,
    height: int = 60,
    width: int = 60,
    plural: bool = False,
    airborne: bool = False,
) -> Cutout:
    """An ellipse that fills its frame, a little lighter towards the top."""
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height * 2 - 1, (x + 0.5) / width * 2 - 1
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., :3] = np.clip(np.array(colour) * (1 - 0.15 * y[..., None]), 0, 255)
    picture[..., 3] = np.where(x**2 + y**2 <= 1, 255, 0)
    return Cutout(noun, picture, plural=plural, airborne=airborne)


def cutouts() -> Cutouts:
    """Eight things of several colours and shapes, one of them a plural and two airborne."""
    some = [
        cutout("dog", (150, 100, 60), height=40),
        cutout("cat", (220, 150, 70)),
        cutout("teapot", RED),
        cutout("tall bottle", GREEN, width=24),
        cutout("grapes", (120, 60, 180), plural=True),
        cutout("cloud", (240, 240, 240), height=36, airborne=True),
        cutout("balloon", RED, airborne=True),
        cutout("key", YELLOW, width=30),
    ]
    return Cutouts(some, some)


def write_cutouts(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """A folder of cut-outs with its table in it."""
    folder.mkdir(parents=True)
    colours = (RED, GREEN, BLUE, YELLOW)
    lines = ["file\tname"]
    for i, name in enumerate(names):
        lines.append(f"{i:02}.png\t{name}")
        Image.fromarray(cutout(colour=colours[i % 4]).picture).save(folder / f"{i:02}.png")
    (folder / "cutouts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
