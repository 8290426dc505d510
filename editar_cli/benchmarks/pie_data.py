"""PIE-Bench's data: 700 pictures, ten kinds of edit (arXiv 2310.01506, its published layout).

::

    DIR/mapping_file.json     key -> image_path, original_prompt, editing_prompt,
                              editing_instruction, editing_type_id, blended_word, mask
    DIR/annotation_images/    the pictures, 512 x 512
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import UsageError

MAPPING = "mapping_file.json"
IMAGES = "annotation_images"
SIDE = 512

TYPES = (
    "random",
    "change object",
    "add object",
    "delete object",
    "change content",
    "change pose",
    "change color",
    "change material",
    "change background",
    "change style",
)
"""Kinds of edit, by ``editing_type_id``."""


@dataclass(frozen=True, kw_only=True)
class PieCase:
    """One edit of PIE-Bench.

    Args:
        key: its name in the mapping file.
        image: the picture's path below ``annotation_images``, with ``/``.
        type: place in ``TYPES``.
        instruction: what an editor is asked.
        source_prompt, target_prompt: descriptions before and after, without square brackets.
        runs: (n, 2) start and length of what is to be edited, over the flattened picture.
    """

    key: str
    image: str
    type: int
    instruction: str
    source_prompt: str
    target_prompt: str
    runs: tuple[tuple[int, int], ...]

    def mask(self, height: int = SIDE, width: int = SIDE) -> NDArray[np.bool_]:
        """(height, width): what is to be edited."""
        return decode_mask(self.runs, height, width)


def decode_mask(
    runs: "tuple[tuple[int, int], ...] | NDArray[np.int64]", height: int, width: int
) -> NDArray[np.bool_]:
    """The mask that runs of (start, length) over the flattened picture stand for.

    As published: what goes past the end is clipped, and the outermost row and column on each side
    belong to the mask always.
    """
    flat = np.zeros(height * width, bool)
    for start, length in runs:
        flat[start : start + length] = True
    mask = flat.reshape(height, width)
    mask[[0, -1]] = True
    mask[:, [0, -1]] = True
    return mask


def read_pie_bench(folder: Path) -> list[PieCase]:
    """The edits of a PIE-Bench folder, in the order of its mapping file.

    Raises:
        UsageError: the folder is no PIE-Bench, an entry is wrong or a picture is missing.
    """
    file = folder / MAPPING
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror}); --data names the folder with {MAPPING} "
            f"and {IMAGES}/"
        ) from error
    except ValueError as error:
        raise UsageError(f"{file}: is no JSON: {error}") from error
    if not isinstance(table, dict) or not table:
        raise UsageError(f"{file}: must be an object with an entry for each edit")
    cases = [_case(file, str(key), entry) for key, entry in table.items()]
    missing = [case for case in cases if not (folder / IMAGES / case.image).is_file()]
    if missing:
        raise UsageError(
            f"{folder / IMAGES / missing[0].image}: no such picture; {len(missing)} of "
            f"{len(cases)} pictures of {MAPPING} are missing"
        )
    return cases


def _case(file: Path, key: str, entry: Any) -> PieCase:
    def wrong(what: str) -> UsageError:
        return UsageError(f"{file}: {key}: {what}")

    if not isinstance(entry, dict):
        raise wrong("must be an object")

    def text(name: str) -> str:
        value = entry.get(name)
        if not isinstance(value, str):
            raise wrong(
                f"{name} is missing"
                if value is None
                else f"{name} must be text, not {type(value).__name__}"
            )
        return value

    instruction = text("editing_instruction").strip()
    if not instruction:
        raise wrong("editing_instruction is empty")
    try:
        kind = int(entry.get("editing_type_id", -1))
    except (TypeError, ValueError):
        kind = -1
    if not 0 <= kind < len(TYPES):
        raise wrong(
            f"editing_type_id {entry.get('editing_type_id')!r} must be 0 to {len(TYPES) - 1}"
        )
    flat: list[Any] = entry["mask"] if isinstance(entry.get("mask"), list) else [-1]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in flat)
    if not whole or len(flat) % 2:
        raise wrong("mask must be a flat list of (start, length) pairs of whole numbers")
    return PieCase(
        key=key,
        image=text("image_path"),
        type=kind,
        instruction=instruction,
        source_prompt=without_brackets(text("original_prompt")),
        target_prompt=without_brackets(text("editing_prompt")),
        runs=tuple(zip(flat[::2], flat[1::2], strict=True)),
    )


def without_brackets(prompt: str) -> str:
    """A prompt without the square brackets that mark its changed words."""
    return re.sub(r"[\[\]]", "", prompt)
