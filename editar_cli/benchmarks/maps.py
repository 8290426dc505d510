"""What the benchmarks of maps share: pictures made of given maps, and how well they follow them.

One file for each: ``canny``, ``depth``, ``segmentation``. Pictures are compared at 512 px, cut as
the published model prepares them; an output of another size is resized to it (Lanczos).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from editar_cli import images
from editar_cli.batch import Job
from editar_cli.benchmarks.hub_data import HubData, MapCase
from editar_cli.benchmarks.layouts import Case, Outputs
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.results import OUTPUTS, Column, Published, Row, mean_values
from editar_cli.benchmarks.statistics import Mean
from editar_cli.editor import EditOptions, Editor
from editar_cli.errors import ImageError
from editar_cli.geometry import Fit, Geometry
from editar_cli.metrics.frechet import frechet_distance
from editar_cli.modes._mode import Picture
from editar_cli.modes._settings import MapSettings
from editar_cli.pipeline import Asked
from editar_cli.translator import ModelMap, PreparedMap, TranslateSession, fit_map, to_model

SIDE = 512
DRAWN = "map"
"""Folder of a run with the maps that were drawn of photographs."""

FID = Column(name="fid", title="FID", better="lower", of_set=True)


class Judge(Protocol):
    """Compares outputs with the maps that were given."""

    def figures(self, case: MapCase, output: Picture) -> dict[str, float | None]:
        """The figures of one output, (512, 512, 3) uint8.

        Raises:
            ImageError: the data set's own picture cannot be read.
        """

    def whole(self) -> dict[str, Mean]:
        """Figures of all outputs together, but FID."""


@dataclass(frozen=True, kw_only=True)
class MapBenchmark:
    """One benchmark.

    Args:
        mode: its name, and that of the mode that makes its pictures.
        title: heading of its tables.
        data: what it runs on.
        columns: its figures.
        networks: that they need.
        judge: makes one for a run.
        published: rows of papers.
        extractor: draws the map of a photograph, or ``None`` where the data set has maps.
    """

    mode: str
    title: str
    data: HubData
    columns: Sequence[Column]
    networks: Sequence[str]
    judge: Callable[[Networks], Judge]
    published: Published
    extractor: str | None = None


class GivenMaps(TranslateSession):
    """Makes pictures of the maps of a data set, as they are.

    A map is prepared like any picture, as the published model was trained and evaluated: no check,
    no stretching. A model that was trained with other colours gets it in its own.

    Args:
        style: of the maps.
    """

    def __init__(
        self, editor: Editor, options: EditOptions, mode: str, *, style: str, seed: int = 0
    ) -> None:
        super().__init__(editor, options, MapSettings(mode=mode, input="map"), seed=seed)
        self.style = style

    def prepare(self, asked: Asked) -> PreparedMap:
        """As ``TranslateSession.prepare``, with the map as it is."""
        if self.choice.style != self.style:
            return super().prepare(asked)
        size, fit = self.editor.config.image_size, self.options.fit
        seen = images.to_pixels(images.prepare(asked.source, size, fit))
        return PreparedMap(
            source=asked.source,
            square=to_model(seen),
            prompt=self.choice.mode.prompt + asked.text,
            seed=asked.seed,
            found=ModelMap(full=seen, square=seen),
        )


def session_of(
    benchmark: MapBenchmark, editor: Editor, options: EditOptions, *, seed: int
) -> TranslateSession:
    """What makes a benchmark's pictures."""
    if benchmark.extractor is not None:
        settings = MapSettings(mode=benchmark.mode, extractor=benchmark.extractor)
        return TranslateSession(editor, options, settings, seed=seed)
    style = "coco-stuff" if benchmark.mode == "segmentation" else ""
    return GivenMaps(editor, options, benchmark.mode, style=style, seed=seed)


def map_jobs(cases: Sequence[MapCase], run: Path) -> list[Job]:
    """The pictures as jobs; outputs are PNG files in ``run/output`` named by their rows."""
    return [
        Job(
            source=case.photo if case.map is None else case.map,
            output=run / OUTPUTS / f"{case.key}.png",
            key=case.key,
            instruction=case.caption,
            asked="caption",
            beside={} if case.map is not None else {"map": run / DRAWN / f"{case.key}.png"},
        )
        for case in cases
    ]


def named(cases: Sequence[MapCase]) -> list[Case]:
    """What outputs are named after."""
    return [Case(key=case.key, path=case.photo.name, number=case.number) for case in cases]


class Scores:
    """The figures of a run: ``rows`` first, then ``whole``.

    Args:
        benchmark: which.
        cases: all pictures.
        outputs: theirs.
        networks: of the figures.
        run: the run's folder, for maps that were drawn.
    """

    def __init__(
        self,
        benchmark: MapBenchmark,
        cases: Sequence[MapCase],
        outputs: Outputs,
        networks: Networks,
        run: Path,
    ) -> None:
        self.run = run
        self.benchmark = benchmark
        self.cases = cases
        self.outputs = outputs
        self.judge = benchmark.judge(networks)
        self.distance = SetDistance(networks)

    def rows(self) -> Iterator[Row]:
        """One for each picture, in order; an output that is missing or broken is one too."""
        own = [column.name for column in self.benchmark.columns if not column.of_set]
        for case, name in zip(self.cases, named(self.cases), strict=True):
            shown = {"photo": case.photo}
            given = case.map or self.run / DRAWN / f"{case.key}.png"
            if given.is_file():
                shown["map"] = given
            values: Mapping[str, float | None] = dict.fromkeys(own)
            error = None
            try:
                found = self.outputs.find(name)
                shown["output"] = found[0]
                pictures = [square(path) for path in found]
                photo = square(case.photo)
                values = mean_values([self.judge.figures(case, one) for one in pictures])
                self.distance.add_real(photo)
                self.distance.add_made(pictures)
            except ImageError as reason:
                error = str(reason)
            yield Row(
                key=case.key,
                values=values,
                pictures=shown,
                text=case.caption,
                facts={"caption": case.caption},
                error=error,
            )

    def whole(self) -> dict[str, Mean]:
        """Figures of all pictures together."""
        missing = len(self.cases) - self.distance.count
        return {**self.judge.whole(), FID.name: self.distance.mean(missing)}


class SetDistance:
    """FID of outputs and photographs; of several outputs for each the mean of their distances.

    Args:
        networks: has Inception, or not.
    """

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.count = 0
        """Rows with outputs."""
        self._real: list[NDArray[np.float64]] = []
        self._made: dict[int, list[NDArray[np.float64]]] = {}

    def add_real(self, photo: Picture) -> None:
        """A photograph, (512, 512, 3) uint8."""
        inception = self.networks.inception
        if inception is not None:
            self._real.append(inception(photo))

    def add_made(self, outputs: Sequence[Picture]) -> None:
        """What was made for one row, one or several (512, 512, 3) uint8."""
        inception = self.networks.inception
        if inception is not None:
            self.count += 1
            for number, output in enumerate(outputs):
                self._made.setdefault(number, []).append(inception(output))

    def mean(self, missing: int) -> Mean:
        """The distance; it has no interval: drawing pictures twice would make it larger."""
        sets = [made for made in self._made.values() if len(made) > 1]
        if len(self._real) < 2 or not sets:
            return Mean(mean=None, low=None, high=None, count=0, missing=missing + self.count)
        real = np.stack(self._real)
        distances = [frechet_distance(real, np.stack(made)) for made in sets]
        return Mean(
            mean=float(np.mean(distances)), low=None, high=None, count=self.count, missing=missing
        )


def square(path: Path) -> Picture:
    """(512, 512, 3) uint8: a picture as the benchmarks compare it.

    Raises:
        ImageError: it cannot be read.
    """
    return images.to_pixels(images.prepare(images.read_image(path), SIDE, Fit.CROP))


def map_square(path: Path, kind: Literal["lines", "flat", "smooth"]) -> Picture:
    """(512, 512, 3) uint8: a map cut like ``square`` and resized as maps of its kind are.

    Raises:
        ImageError: it cannot be read.
    """
    pixels = images.over_white(images.read_image(path))
    size = (pixels.shape[1], pixels.shape[0])
    return fit_map(pixels, Geometry.of(source=size, size=SIDE, fit=Fit.CROP), kind)


def label_square(path: Path) -> NDArray[np.uint8]:
    """(512, 512) uint8: a greyscale picture of labels, cut like ``square`` and never blended.

    Raises:
        ImageError: it cannot be read.
    """
    return map_square(path, "flat")[..., 0]
