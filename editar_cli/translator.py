"""From pictures, or maps, to new pictures: the line of ``translate``.

source -> map -> the model's square of it -> prompt and codes by the one engine -> the size of the
source. ``MapSource`` owns maps, ``TranslateSession`` a run with a model, ``MapSession`` a run
that only draws maps.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from editar_cli import images
from editar_cli.editor import Drawn, EditOptions, Editor, Prepared
from editar_cli.engine import image_seed, ran_out_of_memory
from editar_cli.geometry import Fit, Geometry
from editar_cli.modes._maps import resize_map
from editar_cli.modes._mode import Extract, Picture, RawMap, Reading
from editar_cli.modes._settings import Choice, MapSettings, choose_extractor
from editar_cli.pipeline import Asked, Made

_CHANNELS = {"P": 3, "PA": 4, "YCbCr": 3}
_GREY = frozenset({"1", "L", "LA", "La"})


@dataclass(frozen=True, kw_only=True)
class ModelMap:
    """The map of one source, for a model.

    Args:
        full: (H, W, 3) uint8 at the size of the part of the source that the square shows.
        square: (S, S, 3) uint8: what the model is given.
        notes: what was done to it.
    """

    full: Picture
    square: Picture
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PreparedMap(Prepared):
    """A picture whose map waits for the model; ``found`` is that map."""

    found: ModelMap


class MapSource:
    """Makes or reads the maps of a run; the extractor loads with the first picture that needs it.

    Several threads may ask for maps at once.

    Args:
        settings: how maps come about.
        choice: mode and extractor.
    """

    def __init__(self, settings: MapSettings, choice: Choice) -> None:
        self.settings = settings
        self.choice = choice
        self._extract: Extract | None = None
        self._extracting = threading.Lock()

    @property
    def facts(self) -> dict[str, object]:
        """Where the maps come from, for the note in each output."""
        given = self.settings.input == "map"
        return {
            "mode": self.choice.mode.name,
            "map": "given" if given else self.choice.extractor.name,
        }

    @property
    def extract(self) -> Extract:
        """The extractor, loaded.

        Raises:
            ModelError: it cannot be.
        """
        if self._extract is None:
            self._extract = self.choice.extractor.load(self.settings.extracting)
        return self._extract

    def styled_map(self, picture: Picture, name: str = "picture") -> Picture:
        """(H, W, 3) uint8 picture -> its map at the same size, in the colours the model knows.

        Raises:
            ImageError: the map shows nothing that the model knows; names the picture.
            ModelError: the extractor cannot be loaded.
            MemoryError: memory ran out.
        """
        try:
            # Networks are not made for several threads, and load but once.
            with self._extracting:
                found = self.extract(picture)
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise
        return self._in_style(found, name)

    def at_source_size(self, source: images.Source) -> Reading:
        """The map of the whole source, no model's square in between.

        Raises:
            ImageError: the source is no such map.
        """
        if self.settings.input == "map":
            return self.choice.mode.read(raw_map(source), self.settings.invert, self.choice.style)
        return Reading(pixels=self.styled_map(images.over_white(source), source.name))

    def for_model(self, source: images.Source, size: int, fit: Fit) -> ModelMap:
        """The map of a source, as the model is given it and at the source's size.

        Args:
            source: a photograph, or a map.
            size: side of the model's square in pixels.
            fit: how the frame becomes the square.

        Raises:
            ImageError: the source is no such map.
        """
        mode = self.choice.mode
        geometry = Geometry.of(source=source.size, size=size, fit=fit)
        at_model_size = mode.at_model_size and self.settings.extracting.resolution is None
        if self.settings.input == "photo" and at_model_size:
            # Lines are one pixel wide wherever they are drawn: so where the model looks.
            photo = images.to_pixels(images.prepare(source, size, fit))
            square = self.styled_map(photo, source.name)
            return ModelMap(full=_unfit(square, geometry, mode.resize), square=square)
        whole = self.at_source_size(source)
        left, top, right, bottom = geometry.source_box
        return ModelMap(
            full=whole.pixels[top:bottom, left:right],
            square=fit_map(whole.pixels, geometry, mode.resize),
            notes=whole.notes,
        )

    def _in_style(self, pixels: Picture, name: str) -> Picture:
        """An extractor's map in the colours that the model was trained with."""
        if self.choice.extractor.style == self.choice.style:
            return pixels
        return self.choice.mode.read(
            RawMap(pixels=pixels, name=name), False, self.choice.style
        ).pixels


def raw_map(source: images.Source) -> RawMap:
    """A source as the readers of ready-made maps want it."""
    # Of other modes, "RGBA" say, each letter is a channel.
    channels = _CHANNELS.get(source.mode, len(source.mode))
    if source.deep_grey is not None:
        channels = 1
    return RawMap(
        pixels=images.over_white(source),
        deep=source.deep_grey,
        grey=source.mode in _GREY or source.deep_grey is not None,
        channels=channels,
        name=source.name,
    )


def fit_map(
    pixels: Picture, geometry: Geometry, kind: Literal["lines", "flat", "smooth"]
) -> Picture:
    """(H, W, 3) uint8 map of the whole source -> (S, S, 3) uint8, as ``images.prepare`` cuts it."""
    scaled = resize_map(pixels, geometry.scaled, "flat" if kind == "lines" else kind)
    if kind == "lines" and not np.array_equal(resize_map(scaled, geometry.source, kind), pixels):
        # No map that was drawn at the model's size and enlarged, as ``_unfit`` does: those are
        # taken back pixel on pixel.
        scaled = resize_map(pixels, geometry.scaled, kind)
    left, top = geometry.offset
    size = geometry.size
    cut = scaled[max(0, top) : top + size, max(0, left) : left + size]
    height, width = cut.shape[:2]
    before = (max(0, -top), max(0, -left))
    after = (size - height - before[0], size - width - before[1])
    return np.pad(cut, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")


def _unfit(
    square: Picture, geometry: Geometry, kind: Literal["lines", "flat", "smooth"]
) -> Picture:
    """The square's map at the size of the part of the source that it shows."""
    left, top, right, bottom = geometry.model_box
    box = geometry.source_box
    inner = np.ascontiguousarray(square[top:bottom, left:right])
    return resize_map(inner, (box[2] - box[0], box[3] - box[1]), kind)


class TranslateSession:
    """A model with its options, maps and seed fixed: what a run over many pictures works with.

    Args:
        editor: the model.
        options: size, fit and sampling; ``preserve`` has no meaning here.
        settings: how maps come about.
        seed: the run's seed; each picture's own is derived from it.
    """

    def __init__(
        self, editor: Editor, options: EditOptions, settings: MapSettings, *, seed: int = 0
    ) -> None:
        self.editor = editor
        self.options = options
        settings = settings.on(str(editor.bundle.device))
        self.choice = choose_extractor(settings, editor.config.extractors)
        self.maps = MapSource(settings, self.choice)
        self.seed = seed

    @property
    def facts(self) -> Mapping[str, object]:
        """Model and settings, for the note in each output."""
        return {
            **self.editor.facts,
            **self.maps.facts,
            "size": self.options.size,
            "fit": self.options.fit.value,
            **asdict(self.options.sampling),
        }

    def picture_seed(self, key: str, seed: int | None = None) -> int:
        """The seed of the picture with this key; ``seed`` stands in for the run's."""
        return image_seed(self.seed if seed is None else seed, key)

    def prepare(self, asked: Asked) -> PreparedMap:
        """The map of a photograph, or a map as the model is given it; the text is a caption.

        Raises:
            ImageError: the source is no such map.
            MemoryError: memory ran out.
            ModelError: the extractor cannot be loaded.
        """
        size, fit = self.editor.config.image_size, self.options.fit
        found = self.maps.for_model(asked.source, size, fit)
        return PreparedMap(
            source=asked.source,
            square=to_model(found.square),
            prompt=self.choice.mode.prompt + asked.text,
            seed=asked.seed,
            found=found,
        )

    def vary(self, prepared: PreparedMap, seed: int) -> PreparedMap:
        """The same map with another seed."""
        return replace(prepared, seed=seed)

    def stream(
        self,
        prepared: Iterable[PreparedMap],
        *,
        slots: int,
        on_drawn: Callable[[float], None] = lambda pictures: None,
        on_fewer_slots: Callable[[int], None] = lambda slots: None,
    ) -> Iterator[tuple[int, Drawn]]:
        """As ``Maker.stream``."""
        return self.editor.stream(
            prepared,
            self.options.sampling,
            slots=slots,
            on_drawn=on_drawn,
            on_fewer_slots=on_fewer_slots,
        )

    def finish(self, prepared: PreparedMap, result: Drawn) -> Made:
        """The result at the size of the part of the source that the model saw, or (S, S, 3) for
        size ``model``."""
        source, found, decoded = prepared.source, prepared.found, result.after
        size, fit = self.editor.config.image_size, self.options.fit
        geometry = Geometry.of(source=source.size, size=size, fit=fit)
        if self.options.size == "model":
            pixels = images.to_pixels(decoded)
        else:
            pixels = images.enlarge(decoded, geometry)
        beside = {"map": found.full}
        if self.maps.settings.preview:
            beside["preview"] = self._preview(
                source, geometry, found, images.enlarge(decoded, geometry)
            )
        return Made(pixels=pixels, like=new_picture(source), beside=beside, notes=found.notes)

    def _preview(
        self, source: images.Source, geometry: Geometry, found: ModelMap, result: Picture
    ) -> Picture:
        """Source, map and result side by side; a map that was given is not shown twice."""
        left, top, right, bottom = geometry.source_box
        parts = [found.full, result]
        if self.maps.settings.input == "photo":
            parts.insert(0, images.over_white(source)[top:bottom, left:right])
        return beside_each_other(parts)


class MapSession:
    """A run that only draws maps: no model.

    Args:
        settings: how maps come about.
        suited: the model's own list of extractors for each mode.
    """

    def __init__(self, settings: MapSettings, suited: Mapping[str, Sequence[str]]) -> None:
        self.choice = choose_extractor(settings, suited)
        self.maps = MapSource(settings, self.choice)

    @property
    def facts(self) -> Mapping[str, object]:
        """Where the maps come from."""
        return self.maps.facts

    def picture_seed(self, key: str, seed: int | None = None) -> int:
        """Maps have no chance in them."""
        return 0

    def prepare(self, asked: Asked) -> tuple[images.Source, Reading]:
        """A source and its map at its own size.

        Raises:
            ImageError: the source is no such map.
            MemoryError: memory ran out.
            ModelError: the extractor cannot be loaded.
        """
        return asked.source, self.maps.at_source_size(asked.source)

    def vary(
        self, prepared: tuple[images.Source, Reading], seed: int
    ) -> tuple[images.Source, Reading]:
        """The same: maps have no chance in them."""
        return prepared

    def stream(
        self,
        prepared: Iterable[tuple[images.Source, Reading]],
        *,
        slots: int,
        on_drawn: Callable[[float], None] = lambda pictures: None,
        on_fewer_slots: Callable[[int], None] = lambda slots: None,
    ) -> Iterator[tuple[int, None]]:
        """Nothing is left to do."""
        for index, _ in enumerate(prepared):
            on_drawn(1.0)
            yield index, None

    def finish(self, prepared: tuple[images.Source, Reading], result: None) -> Made:
        """The map."""
        source, found = prepared
        beside = {}
        if self.maps.settings.preview:
            beside["preview"] = beside_each_other([images.over_white(source), found.pixels])
        return Made(pixels=found.pixels, like=new_picture(source), beside=beside, notes=found.notes)


def new_picture(source: images.Source) -> images.Source:
    """What a new picture is written as: the source's name, format and resolution, plain RGB.

    It is no version of the source, so nothing else is carried over: no camera data, no alpha, no
    colour profile (the model writes sRGB).
    """
    return images.Source(
        name=source.name,
        pixels=source.pixels,
        mode="RGB",
        format=source.format,
        storage=replace(source.storage, tables={}),
        dpi=source.dpi,
        notes=source.notes,
    )


def beside_each_other(parts: Sequence[Picture], gap: int = 8) -> Picture:
    """HWC uint8 pictures of one height -> one, with white between them."""
    white = np.full((parts[0].shape[0], gap, 3), 255, np.uint8)
    row = [part for picture in parts for part in (picture, white)][:-1]
    return np.concatenate(row, axis=1)


def to_model(square: Picture) -> NDArray[np.float32]:
    """(S, S, 3) uint8 -> (3, S, S) float32 in [-1, 1]."""
    return np.ascontiguousarray(square.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0)
