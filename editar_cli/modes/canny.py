"""Edges by Canny's detector, white on black."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import UsageError
from editar_cli.modes._agreement import edge_agreement
from editar_cli.modes._controlnet import nearest, resized
from editar_cli.modes._hub import installed, loading, need
from editar_cli.modes._maps import read_lines
from editar_cli.modes._mode import Extract, Extractor, ExtractorSettings, Mode, Picture, by_name

PROMPT = "Given the canny edge image, generate an image following the description: "

# Thresholds of the ControlNet annotator, on OpenCV's gradient magnitude, [0, 1020].
OPENCV = (100.0, 200.0)
# Thresholds of the published models' preprocessing, on kornia's magnitude for colours in [0, 1].
KORNIA = (0.1, 0.2)
# A picture brought to another resolution grows no longer than this, so that a strip of one pixel
# does not fill the memory.
LONGEST = 16384
# Below this the blur's mirrored border does not fit.
KORNIA_LEAST = 8


def canny_map(
    image: NDArray[np.uint8], low: float = OPENCV[0], high: float = OPENCV[1]
) -> NDArray[np.uint8]:
    """HWC uint8 RGB -> HWC uint8 edge map, white on black.

    The thresholds are on OpenCV's gradient magnitude, [0, 1020]; 100 and 200 are those of the
    ControlNet annotators.
    """
    import cv2

    return np.repeat(cv2.Canny(image, low, high)[..., None], 3, axis=2).astype(np.uint8)


def load_opencv(settings: ExtractorSettings) -> Extract:
    """OpenCV's detector on the picture as given.

    Raises:
        ModelError: OpenCV is not installed.
        UsageError: the thresholds are out of range.
    """
    low, high = _thresholds(settings, OPENCV)
    if low < 0:
        raise UsageError(f"--low {low:g}: must not be negative")
    need("opencv", "cv2")
    return _at_resolution(lambda picture: canny_map(picture, low, high), settings.resolution)


def load_kornia(settings: ExtractorSettings) -> Extract:
    """Kornia's detector, as in the published models' preprocessing.

    Raises:
        ModelError: kornia is not installed.
        UsageError: the thresholds are out of range.
    """
    import torch

    low, high = _thresholds(settings, KORNIA)
    if low <= 0:
        raise UsageError(f"--low {low:g}: must be above 0 for the extractor kornia")
    need("kornia", "kornia", "cv2")
    with loading("kornia"):
        from kornia.filters import canny

    def edges(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        large = nearest(picture, max(width, KORNIA_LEAST), max(height, KORNIA_LEAST))
        rgb = (
            torch.tensor(np.ascontiguousarray(large), device=settings.device)
            .permute(2, 0, 1)[None]
            .float()
            / 255
        )
        with torch.inference_mode():
            found = canny(rgb, low, high)[1][0, 0].cpu().numpy()
        levels = (found * 255).round().astype(np.uint8)
        return nearest(np.repeat(levels[..., None], 3, axis=2), width, height)

    return _at_resolution(edges, settings.resolution)


def _thresholds(settings: ExtractorSettings, default: tuple[float, float]) -> tuple[float, float]:
    low = default[0] if settings.low is None else settings.low
    high = default[1] if settings.high is None else settings.high
    if low > high:
        told = (
            f"--low {low:g}: must not be above --high, {high:g}"
            if settings.high is None
            else f"--high {high:g}: must not be below --low, {low:g}"
        )
        raise UsageError(f"{told} by default")
    return low, high


def _at_resolution(edges: Extract, resolution: int | None) -> Extract:
    if resolution is None:
        return edges

    def extract(picture: Picture) -> Picture:
        import cv2

        height, width = picture.shape[:2]
        scale = min(resolution / min(width, height), LONGEST / max(width, height))
        looked_at = resized(
            picture,
            max(1, round(width * scale)),
            max(1, round(height * scale)),
            cv2.INTER_LANCZOS4,
        )
        return _lines_at(edges(looked_at), width, height)

    return extract


def _lines_at(lines: Picture, width: int, height: int) -> Picture:
    """An edge map at another size: each pixel of a line goes to the nearest pixel."""
    if width * height >= lines.shape[0] * lines.shape[1]:
        return nearest(lines, width, height)
    # Asked the other way round, which pixel is nearest to each of the new ones, a line of one
    # pixel falls between two that are asked about and is gone.
    rows, columns = np.nonzero(lines[..., 0])
    small = np.zeros((height, width, 3), np.uint8)
    small[
        (2 * rows + 1) * height // (2 * lines.shape[0]),
        (2 * columns + 1) * width // (2 * lines.shape[1]),
    ] = 255
    return small


def _with(*packages: str) -> Callable[[], bool]:
    return lambda: installed(*packages)


MODE = Mode(
    name="canny",
    prompt=PROMPT,
    extractors=by_name(
        Extractor(
            name="opencv",
            summary="OpenCV, thresholds 100 and 200, as the ControlNet annotator",
            load=load_opencv,
            takes=frozenset({"low", "high", "resolution"}),
            at_hand=_with("cv2"),
        ),
        Extractor(
            name="kornia",
            summary="kornia, thresholds 0.1 and 0.2, as the published models were trained",
            load=load_kornia,
            takes=frozenset({"low", "high", "resolution"}),
            at_hand=_with("kornia", "cv2"),
        ),
    ),
    resize="lines",
    at_model_size=True,
    read=read_lines,
    agreement=edge_agreement,
)
