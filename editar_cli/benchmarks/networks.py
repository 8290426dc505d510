"""The networks that figures need, each loaded when first asked for."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import ModelError
from editar_cli.metrics._weights import MetricMissing
from editar_cli.metrics.clip import ClipScore
from editar_cli.metrics.frechet import Inception
from editar_cli.metrics.perceptual import Lpips
from editar_cli.metrics.structure import StructureDistance
from editar_cli.modes._mode import Download, Extract, ExtractorSettings

N = TypeVar("N")

NAMES = ("structure", "lpips", "clip", "inception", "dpt", "segmenter")
"""What ``--metric-weights`` names."""


class Networks:
    """Networks, and why those are missing that cannot be had.

    Args:
        weights: files or folders by name; what is left out comes from the caches and downloads of
            the networks' libraries.
        device: where they run.
    """

    def __init__(self, weights: Mapping[str, Path] | None = None, device: str = "cpu") -> None:
        self.weights = dict(weights or {})
        self.device = device
        self.missing: dict[str, str] = {}
        """Networks that could not be had, and why."""

    @cached_property
    def structure(self) -> StructureDistance | None:
        """DINO ViT-B/8, for the structure distance."""
        return self._load("structure", lambda path: StructureDistance(path, self.device))

    @cached_property
    def lpips(self) -> Lpips | None:
        """SqueezeNet, for LPIPS."""
        return self._load("lpips", lambda path: Lpips(path, self.device))

    @cached_property
    def clip(self) -> ClipScore | None:
        """CLIP ViT-L/14."""
        return self._load("clip", lambda path: ClipScore(path, self.device))

    @cached_property
    def inception(self) -> Inception | None:
        """Inception, for FID."""
        return self._load("inception", lambda path: Inception(path, self.device))

    @cached_property
    def dpt(self) -> Extract | None:
        """DPT-Large: a picture to its depth map, near is bright, each stretched to 0..255."""
        from editar_cli.modes.depth import DPT, load_dpt

        return self._load("dpt", lambda path: self._of_mode("dpt", DPT, load_dpt, path))

    @cached_property
    def segmenter(self) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None:
        """A COCO-Stuff segmenter: (H, W, 3) uint8 to (H, W) labels 0 to 170, 255 for none."""
        from editar_cli.modes.segmentation import MASKFORMER, load_labels

        return self._load(
            "segmenter", lambda path: self._of_mode("segmenter", MASKFORMER, load_labels, path)
        )

    def _of_mode(
        self,
        name: str,
        download: Download,
        load: Callable[[ExtractorSettings], N],
        path: Path | None,
    ) -> N:
        """A network that ``translate`` has too, whose errors speak of other flags."""
        try:
            return load(ExtractorSettings(weights=path, device=self.device))
        except ModelError as error:
            if error.__cause__ is None or path is not None:
                raise MetricMissing(str(error)) from error
            reason = (str(error.__cause__).strip().splitlines() or [""])[0]
            raise MetricMissing(
                f"{download.repository} ({download.megabytes} MB) is not in the hub's cache and "
                f"cannot be downloaded ({reason}); name its folder by --metric-weights "
                f"{name}=FOLDER"
            ) from error

    def _load(self, name: str, make: Callable[[Path | None], N]) -> N | None:
        try:
            return make(self.weights.get(name))
        except MetricMissing as error:
            self.missing[name] = str(error)
            return None
