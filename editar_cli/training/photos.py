"""Photographs from a folder, split once and for all into training and kept-out ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from editar_cli.errors import TrainingError

# The sixth of each group, so that the split of a growing folder changes only at its end.
KEPT_PHASE = 5
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def list_photos(folder: Path) -> list[Path]:
    """All pictures directly in ``folder``, by name.

    Raises:
        TrainingError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder of photographs; give it with --data")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise TrainingError(f"{folder}: no .jpg, .png or .webp pictures in it")
    return found


def split(paths: Sequence[Path], keep_out_every: int) -> tuple[list[Path], list[Path]]:
    """(training, kept-out) by position in name order: each ``keep_out_every``-th is kept out."""
    kept = [p for i, p in enumerate(paths) if i % keep_out_every == KEPT_PHASE % keep_out_every]
    chosen = set(kept)
    return [p for p in paths if p not in chosen], kept


def split_photos(folder: Path, keep_out_every: int) -> tuple[list[Path], list[Path]]:
    """The pictures of ``folder`` as (training, kept-out), at least one of each.

    Raises:
        TrainingError: there is no such folder, or it holds too few pictures.
    """
    found = list_photos(folder)
    train, kept = split(found, keep_out_every)
    if not train or not kept:
        raise TrainingError(
            f"{folder}: {len(found)} pictures leave none to {'validate' if train else 'train'} "
            f"with keep_out_every = {keep_out_every}; add pictures or change it"
        )
    return train, kept


def load_photo(path: Path, long_side: int) -> NDArray[np.uint8]:
    """A picture as HWC uint8 RGB, at most ``long_side`` pixels long."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        rgb.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
        return np.asarray(rgb)
