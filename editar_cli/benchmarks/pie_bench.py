"""PIE-Bench: what an editor changes where it should, and keeps where it should not.

The figures are those of the benchmark's own evaluation (arXiv 2310.01506), under its own names.
The paper's protocol is the bare square of the model: nothing composited, no mask given to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from editar_cli import images
from editar_cli.batch import Job
from editar_cli.benchmarks.layouts import Case, Outputs
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.pie_data import IMAGES, SIDE, TYPES, PieCase
from editar_cli.benchmarks.published import PIE_BENCH
from editar_cli.benchmarks.results import OUTPUTS, Column, Result, Row, mean_values
from editar_cli.errors import ImageError
from editar_cli.metrics.pixels import compare_pixels

NAME = "pie-bench"
NETWORKS = ("structure", "lpips", "clip")

COLUMNS = (
    Column(name="structure_distance", title="Structure x1e3", scale=1e3, better="lower"),
    Column(name="psnr_unedit_part", title="PSNR", better="higher"),
    Column(name="lpips_unedit_part", title="LPIPS x1e3", scale=1e3, better="lower"),
    Column(name="mse_unedit_part", title="MSE x1e4", scale=1e4, better="lower"),
    Column(name="ssim_unedit_part", title="SSIM x1e2", scale=1e2, better="higher"),
    Column(name="clip_similarity_target_image", title="CLIP whole", better="higher"),
    Column(name="clip_similarity_target_image_edit_part", title="CLIP edited", better="higher"),
)


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


def named(cases: Sequence[PieCase]) -> list[Case]:
    """What outputs of edits are named after."""
    return [Case(key=case.key, path=case.image, number=number) for number, case in enumerate(cases)]


def score(
    cases: Iterable[PieCase], data: Path, outputs: Outputs, networks: Networks
) -> Iterator[Row]:
    """The figures of every edit, in order; an output that is missing or broken is a row too.

    Args:
        cases: what was asked, in the order in which ``outputs`` knows them.
        data: the PIE-Bench folder.
        outputs: the pictures.
        networks: of the figures.
    """
    for number, case in enumerate(cases):
        path = data / IMAGES / case.image
        shown = {"source": path}
        values: Mapping[str, float | None] = {column.name: None for column in COLUMNS}
        error = None
        try:
            source = _square(path, strip=False)
            found = outputs.find(Case(key=case.key, path=case.image, number=number))
            shown["output"] = found[0]
            values = mean_values(
                [score_one(case, source, _square(one, strip=True), networks) for one in found]
            )
        except ImageError as reason:
            error = str(reason)
        yield Row(
            key=case.key,
            values=values,
            pictures=shown,
            text=case.instruction,
            type=TYPES[case.type],
            facts={"image": case.image, "type": case.type, "instruction": case.instruction},
            error=error,
        )


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


def result_of(rows: Sequence[Row], networks: Networks, *, title: str, label: str) -> Result:
    """All of a run."""
    return Result(
        benchmark=NAME,
        title=title,
        label=label,
        columns=COLUMNS,
        rows=rows,
        missing=networks.missing,
        published=PIE_BENCH,
    )


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
