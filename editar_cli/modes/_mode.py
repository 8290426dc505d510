"""What a mode is: a prompt, ways to a map, how a ready-made map is read, and how maps agree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import UsageError

Picture = NDArray[np.uint8]
"""HWC uint8 RGB in [0, 255]: a photograph or a map."""

Extract = Callable[[Picture], Picture]
"""A picture of any size -> its map at the same size, pixel on pixel."""


@dataclass(frozen=True, kw_only=True)
class ExtractorSettings:
    """What a person may set of an extractor; ``None`` is the extractor's own default.

    Args:
        low, high: thresholds of an edge detector, in its own units.
        resolution: short side in pixels at which the picture is looked at.
        weights: file or folder with the network's weights, instead of the hub and its cache.
        device: where a network runs: "cpu", "cuda", "cuda:N" or "mps".
    """

    low: float | None = None
    high: float | None = None
    resolution: int | None = None
    weights: Path | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.resolution is not None and not 16 <= self.resolution <= 8192:
            raise UsageError(f"--resolution {self.resolution}: must be between 16 and 8192 pixels")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise UsageError(f"--low {self.low}: must not be above --high {self.high}")


@dataclass(frozen=True, kw_only=True)
class Download:
    """Weights on the model hub.

    Args:
        repository: hub name, such as ``Intel/dpt-large``.
        file: the file in it that tells whether the weights are in the cache.
        megabytes: what a download brings, for the person who has to wait for it.
    """

    repository: str
    file: str
    megabytes: int


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """One way from a picture to its map.

    Args:
        name: what ``--extractor`` takes.
        summary: one line for people: what it is.
        load: makes the function; imports and weights are loaded here, once, and nowhere else.
            Raises ``ModelError`` where packages or weights are not to be had, with the line that
            brings them, and ``UsageError`` for settings out of range.
        takes: names of the ``ExtractorSettings`` it listens to, beside ``device``.
        download: its weights on the hub, if it has any.
        at_hand: whether it can run now, without a network; cheap, imports nothing heavy.
        style: how its maps look, where a mode knows several (segmentation: "regions" or
            "coco-stuff").
    """

    name: str
    summary: str
    load: Callable[[ExtractorSettings], Extract]
    takes: frozenset[str] = frozenset()
    download: Download | None = None
    at_hand: Callable[[], bool] = lambda: True
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A ready-made map as the model is given it, and what was done to it.

    Args:
        pixels: HWC uint8 RGB at the file's size.
        notes: in words, for the person: "black on white, inverted", "label ids, coloured".
    """

    pixels: Picture
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RawMap:
    """A map file before anyone knows what it holds.

    Args:
        pixels: HWC uint8 RGB.
        deep: (H, W) uint16 of a 16-bit greyscale file, or ``None``.
        grey: the file is greyscale.
        channels: channels in the file, 1 to 4.
        name: for messages.
    """

    pixels: Picture
    deep: NDArray[np.uint16] | None = None
    grey: bool = False
    channels: int = 3
    name: str = "map"


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One kind of condition map.

    Args:
        name: what ``--mode`` takes.
        prompt: what stands before the caption, as the model was trained.
        extractors: by name.
        resize: how a map changes size: "lines" keeps one-pixel lines alive, "flat" makes no new
            colours, "smooth" interpolates.
        at_model_size: the map is drawn of the square that the model sees, because its lines are
            one pixel wide at any size; other maps are made of the picture and fitted after.
        read: checks a ready-made map and brings it to the form the model was trained with.
            Arguments: the file, whether the person says that it is inverted, and the style wanted.
            Raises ``ImageError`` for what is no such map.
        agreement: (given map, map of the output), both HWC uint8 of one size -> figures by name;
            the first is the one to go by.
    """

    name: str
    prompt: str
    extractors: Mapping[str, Extractor]
    resize: Literal["lines", "flat", "smooth"]
    at_model_size: bool = False
    read: Callable[[RawMap, bool, str], Reading]
    agreement: Callable[[Picture, Picture], dict[str, float]]

    def extractor(self, name: str) -> Extractor:
        """The extractor of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self.extractors:
            raise UsageError(
                f"--extractor {name}: mode {self.name} has {', '.join(self.extractors)}"
            )
        return self.extractors[name]


def by_name(*extractors: Extractor) -> dict[str, Extractor]:
    """Extractors as ``Mode`` holds them."""
    return {extractor.name: extractor for extractor in extractors}
