"""PIE-Bench: what an editor changes where it should, and keeps where it should not.

The figures are those of the benchmark's own evaluation (arXiv 2310.01506), under its own names.
The paper's protocol is the bare square of the model: nothing composited, no mask given to it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from editar_cli import images
from editar_cli.batch import Job
from editar_cli.benchmarks.pie_data import IMAGES, SIDE, TYPES, PieCase
from editar_cli.benchmarks.statistics import Mean, bootstrap_mean
from editar_cli.errors import ImageError
from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.clip import ClipScore
from editar_cli.metrics.perceptual import Lpips
from editar_cli.metrics.pixels import compare_pixels
from editar_cli.metrics.structure import StructureDistance

N = TypeVar("N")

OUTPUTS = "output"
"""Folder of a run with the pictures that were made."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure of the table.

    Args:
        name: in results.json, the benchmark's own.
        title: in tables.
        scale: tables print the figure times this.
        better: whether higher or lower is better.
    """

    name: str
    title: str
    scale: float
    better: str


COLUMNS = (
    Column(name="structure_distance", title="Structure x1e3", scale=1e3, better="lower"),
    Column(name="psnr_unedit_part", title="PSNR", scale=1, better="higher"),
    Column(name="lpips_unedit_part", title="LPIPS x1e3", scale=1e3, better="lower"),
    Column(name="mse_unedit_part", title="MSE x1e4", scale=1e4, better="lower"),
    Column(name="ssim_unedit_part", title="SSIM x1e2", scale=1e2, better="higher"),
    Column(name="clip_similarity_target_image", title="CLIP whole", scale=1, better="higher"),
    Column(
        name="clip_similarity_target_image_edit_part",
        title="CLIP edited",
        scale=1,
        better="higher",
    ),
)


class Networks:
    """The networks of the figures, each loaded when first asked for.

    Args:
        weights: files or folders of weights by name (``structure``, ``lpips``, ``clip``); what is
            left out comes from the caches and downloads of their libraries.
        device: where they run.
    """

    def __init__(self, weights: Mapping[str, Path] | None = None, device: str = "cpu") -> None:
        self.weights = dict(weights or {})
        self.device = device
        self.missing: dict[str, str] = {}
        """Networks that could not be had, and why."""

    @cached_property
    def structure(self) -> StructureDistance | None:
        """For the structure distance."""
        return self._load("structure", lambda path: StructureDistance(path, self.device))

    @cached_property
    def lpips(self) -> Lpips | None:
        """For LPIPS."""
        return self._load("lpips", lambda path: Lpips(path, self.device))

    @cached_property
    def clip(self) -> ClipScore | None:
        """For the CLIP scores."""
        return self._load("clip", lambda path: ClipScore(path, self.device))

    def _load(self, name: str, make: Callable[[Path | None], N]) -> N | None:
        try:
            return make(self.weights.get(name))
        except MetricMissing as error:
            self.missing[name] = str(error)
            return None


@dataclass(frozen=True, kw_only=True)
class PieRow:
    """The figures of one edit.

    Args:
        case: what was asked.
        values: by the names of ``COLUMNS``; ``None`` where a figure cannot be computed.
        error: why there are none at all, or ``None``.
    """

    case: PieCase
    values: Mapping[str, float | None]
    error: str | None = None


def edit_jobs(cases: Sequence[PieCase], data: Path, run: Path) -> list[Job]:
    """The edits as jobs; outputs are PNG files below ``run/output`` named as their sources."""
    return [
        Job(
            source=data / IMAGES / case.image,
            output=run / OUTPUTS / Path(case.image).with_suffix(".png"),
            key=case.image,
            instruction=case.instruction,
        )
        for case in cases
    ]


def score(
    cases: Iterable[PieCase], data: Path, outputs: Path, networks: Networks
) -> Iterator[PieRow]:
    """The figures of every edit, in order; an output that is missing or broken is a row too.

    Args:
        cases: what was asked.
        data: the PIE-Bench folder.
        outputs: the pictures, laid out in any of the ways of ``find_output``.
        networks: of the figures.
    """
    for case in cases:
        try:
            source = _square(data / IMAGES / case.image, strip=False)
            output = _square(find_output(outputs, case), strip=True)
        except ImageError as error:
            nothing = {column.name: None for column in COLUMNS}
            yield PieRow(case=case, values=nothing, error=str(error))
            continue
        yield PieRow(case=case, values=score_one(case, source, output, networks))


def score_one(
    case: PieCase, source: NDArray[np.uint8], output: NDArray[np.uint8], networks: Networks
) -> dict[str, float | None]:
    """The figures of one edit: source and output (S, S, 3) uint8."""
    edited = case.mask(*source.shape[:2])
    kept = compare_pixels(source, output, ~edited)
    structure, lpips, clip = networks.structure, networks.lpips, networks.clip
    return {
        "structure_distance": None if structure is None else structure(source, output),
        "psnr_unedit_part": None if kept is None else kept.psnr,
        "lpips_unedit_part": None if lpips is None else lpips(source, output, ~edited),
        "mse_unedit_part": None if kept is None else kept.mse,
        "ssim_unedit_part": None if kept is None else kept.ssim,
        "clip_similarity_target_image": (
            None if clip is None else clip(output, case.target_prompt)
        ),
        "clip_similarity_target_image_edit_part": (
            None if clip is None else clip(output, case.target_prompt, edited)
        ),
    }


def find_output(folder: Path, case: PieCase) -> Path:
    """The picture that a program made of an edit.

    Looked for: the source's own path below the folder or below ``annotation_images`` in it, as
    PnPInversion's programs write them; the same with another extension; the source's bare name; the
    edit's key.

    Raises:
        ImageError: there is none.
    """
    path = Path(case.image)
    for stem in (path, IMAGES / path, Path(path.name), Path(case.key)):
        for extension in (path.suffix, ".png", ".jpg", ".jpeg", ".webp"):
            name = stem if stem.suffix == extension else stem.with_name(f"{stem.stem}{extension}")
            if (folder / name).is_file():
                return folder / name
    raise ImageError(f"{folder}: holds no output for {case.image}")


def _square(path: Path, *, strip: bool) -> NDArray[np.uint8]:
    """(512, 512, 3): a picture as the benchmark compares it.

    Some programs write a strip of instruction, source, reconstruction and result; as published, the
    last square of such a ``strip`` is what counts.
    """
    pixels = images.over_white(images.read_image(path))
    height, width = pixels.shape[:2]
    if strip and width != height:
        side = min(width, height)
        pixels = pixels[-side:, -side:]
    if pixels.shape[:2] != (SIDE, SIDE):
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
    return pixels


@dataclass(frozen=True, kw_only=True)
class PieResult:
    """All rows, and what was missing.

    Args:
        rows: one for each edit.
        missing: networks that could not be had, and why.
    """

    rows: Sequence[PieRow]
    missing: Mapping[str, str]

    def means(self, type: int | None = None) -> dict[str, Mean]:
        """Means over all rows or those of a kind of edit, by the names of ``COLUMNS``."""
        rows = [row for row in self.rows if type in (None, row.case.type)]
        return {
            column.name: bootstrap_mean([row.values[column.name] for row in rows])
            for column in COLUMNS
        }

    @property
    def types(self) -> list[int]:
        """Kinds of edit that there are."""
        return sorted({row.case.type for row in self.rows})


HEADERS = ("", "pictures", *(column.title for column in COLUMNS))


def table(result: PieResult) -> list[tuple[str, ...]]:
    """Rows of text under ``HEADERS``: all, then each kind of edit; values with their intervals."""
    rows = []
    for type in (None, *result.types):
        means = result.means(type)
        count = sum(type in (None, row.case.type) for row in result.rows)
        rows.append(
            (
                "all" if type is None else f"{type} {TYPES[type]}",
                str(count),
                *(_cell(means[column.name], column.scale) for column in COLUMNS),
            )
        )
    return rows


def _cell(mean: Mean, scale: float) -> str:
    if mean.mean is None:
        return "missing"
    text = f"{scale * mean.mean:.2f}"
    if mean.low is not None and mean.high is not None:
        text += f" [{scale * mean.low:.2f}, {scale * mean.high:.2f}]"
    return text
