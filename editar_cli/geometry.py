"""How a picture of any shape becomes the model's square, and back: numbers only, no pixels."""

from dataclasses import dataclass
from enum import StrEnum


class Fit(StrEnum):
    """How a picture becomes the square the model sees."""

    STRETCH = "stretch"
    """The whole frame, squashed to the square."""
    CROP = "crop"
    """Short side to the square's side, then the centre: how the published model was trained."""
    PAD = "pad"
    """The whole frame in its own aspect; the rest of the square repeats the frame's edge."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Where the pixels of the model's square lie in the source.

    Args:
        size: side of the model's square in pixels.
        scaled: (width, height) the whole source is resized to on its way into the square.
        offset: (left, top) of the square in the resized source; negative where it is padded.
        source: (width, height) of the source.
    """

    size: int
    scaled: tuple[int, int]
    offset: tuple[int, int]
    source: tuple[int, int]

    @property
    def model_box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in the square: the part of it that shows the source."""
        (left, top), (width, height) = self.offset, self.scaled
        return (
            max(0, -left),
            max(0, -top),
            min(self.size, width - left),
            min(self.size, height - top),
        )

    @property
    def source_box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in the source: the part of it that the square shows."""
        box = self.model_box
        left, right = self._span(0, box[0], box[2])
        top, bottom = self._span(1, box[1], box[3])
        return left, top, right, bottom

    def _span(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """From the square's pixels to the source's along one axis: one pixel at least."""
        length = self.source[axis]
        scale = length / self.scaled[axis]
        first = min(length - 1, round((start + self.offset[axis]) * scale))
        return first, max(first + 1, round((stop + self.offset[axis]) * scale))

    @classmethod
    def of(cls, *, source: tuple[int, int], size: int, fit: Fit) -> "Geometry":
        """The geometry of a ``source`` of (width, height) pixels seen through ``fit``."""
        width, height = source
        if fit is Fit.STRETCH:
            return cls(size=size, scaled=(size, size), offset=(0, 0), source=source)
        side = min(source) if fit is Fit.CROP else max(source)
        scaled = (max(1, round(width * size / side)), max(1, round(height * size / side)))
        # // rounds towards minus infinity, for crop and pad alike.
        offset = ((scaled[0] - size) // 2, (scaled[1] - size) // 2)
        return cls(size=size, scaled=scaled, offset=offset, source=source)
