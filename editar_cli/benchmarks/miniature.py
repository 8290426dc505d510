"""PIE-Bench in miniature: the same layout, ten kinds of edit, out of this project's own examples.

It shows that everything runs, from data to tables, without any download. Its figures cannot be
compared with published ones: four landscapes are no 700 pictures, and its masks are boxes.
"""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from editar_cli.benchmarks.pie_data import IMAGES, MAPPING, SIDE, TYPES
from editar_cli.embedded import example_pictures
from editar_cli.errors import UsageError

HEADING = "PIE-Bench not found: these figures are not comparable with published ones"

_ALL = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class _Edit:
    """One kind of edit for one crop: its sentence, descriptions, and the box that may change."""

    type: int
    instruction: str
    before: str
    after: str
    box: tuple[float, float, float, float]


# Square crops of the examples by their left edge in the height's unit, what they show and where
# their sky ends. Eight crops, four edits each.
_CROPS = {
    ("mountain", 0.0): ("dry hills under a streaky sky", 0.36),
    ("mountain", 1.0): ("mountains behind a dry slope", 0.5),
    ("city", 0.0): ("a harbour at dusk", 0.66),
    ("city", 1.0): ("a city below a hill at dusk", 0.5),
    ("coast", 0.0): ("the open sea on a bright day", 0.3),
    ("coast", 1.0): ("a rocky coast with surf", 0.27),
    ("marsh", 0.0): ("a green marsh with bare trees", 0.32),
    ("marsh", 1.0): ("a wide marsh under clouds", 0.32),
}


def _edits(scene: str, sky: float) -> list[_Edit]:
    above, below = (0.0, 0.0, 1.0, sky), (0.0, sky, 1.0, 1.0)
    left = (0.08, 0.55, 0.42, 0.9)
    return [
        _Edit(0, "make it snowy", scene, f"{scene} [in the snow]", below),
        _Edit(1, "replace the ground with water", scene, f"{scene} [and water]", below),
        _Edit(2, "add a red apple on the left", scene, f"{scene} [with a red apple]", left),
        _Edit(3, "remove the clouds", f"{scene} [with clouds]", scene, above),
        _Edit(4, "make the ground look like autumn", scene, f"{scene} [in autumn]", below),
        _Edit(5, "turn the clouds to the right", scene, f"{scene} [with turned clouds]", above),
        _Edit(6, "make the sky orange", scene, f"{scene} [with an orange sky]", above),
        _Edit(7, "make the ground out of gold", scene, f"{scene} [of gold]", below),
        _Edit(8, "put it under a night sky", scene, f"{scene} [at night]", above),
        _Edit(9, "make it a pencil sketch", scene, f"a [pencil sketch] of {scene}", _ALL),
    ]


def write_miniature(folder: Path) -> None:
    """Write the miniature, 32 edits, in PIE-Bench's layout.

    Args:
        folder: made where it does not exist; what it holds already is replaced.

    Raises:
        UsageError: the example pictures are not there, or the folder cannot be written.
    """
    examples = example_pictures()
    if examples is None:
        raise UsageError(
            "the example pictures are missing from this installation; give PIE-Bench by --data"
        )
    table: dict[str, dict[str, object]] = {}
    try:
        for number, ((name, left), (scene, sky)) in enumerate(_CROPS.items()):
            with Image.open(examples / f"{name}.jpg") as picture:
                side = picture.height
                start = round(left * side)
                crop = picture.crop((start, 0, start + side, side))
            square = BytesIO()
            crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(square, "PNG")
            edits = _edits(scene, sky)
            # Four of ten for each crop, so that every kind comes three times or four.
            for step in range(4):
                edit = edits[(4 * number + step) % len(edits)]
                kind = f"{edit.type}_{TYPES[edit.type].replace(' ', '_')}"
                image = f"{kind}/{name}-{number}.png"
                path = folder / IMAGES / image
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(square.getvalue())
                table[f"{len(table):012d}"] = {
                    "image_path": image,
                    "original_prompt": edit.before,
                    "editing_prompt": edit.after,
                    "editing_instruction": edit.instruction,
                    "editing_type_id": str(edit.type),
                    "blended_word": "",
                    "mask": _runs(edit.box),
                }
        text = json.dumps(table, indent=1)
        (folder / MAPPING).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _runs(box: tuple[float, float, float, float]) -> list[int]:
    """A box in shares of the picture as runs of (start, length), one for each row."""
    left, top, right, bottom = (round(SIDE * share) for share in box)
    return [number for y in range(top, bottom) for number in (y * SIDE + left, right - left)]
