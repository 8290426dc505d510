"""Pictures in and out: read, prepare for the model, restore to full size, write.

The arrays in this file are HWC uint8 in [0, 255] on the file's side and CHW float32 in [-1, 1] on
the model's side.
"""

import contextlib
import functools
import hashlib
import importlib.util
import os
import shutil
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from editar_cli import containers, metadata
from editar_cli.config import MAX_PIXELS
from editar_cli.errors import ImageError, UsageError
from editar_cli.geometry import Fit, Geometry
from editar_cli.metadata import Note
from editar_cli.restoration import kept_weights, transfer_edit

FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".jfif": "JPEG",
    ".jp2": "JPEG2000",
    ".jpe": "JPEG",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Extension -> Pillow's name, for every format that is both found in folders and written; HEIF
where pillow-heif is installed."""

_EXTENSIONS = {
    "AVIF": ".avif",
    "BMP": ".bmp",
    "GIF": ".gif",
    "HEIF": ".heic",
    "JPEG": ".jpg",
    "JPEG2000": ".jp2",
    "PNG": ".png",
    "PPM": ".ppm",
    "TIFF": ".tif",
    "WEBP": ".webp",
}

_WITH_ALPHA = frozenset({"AVIF", "GIF", "HEIF", "JPEG2000", "PNG", "TIFF", "WEBP"})
_WITH_CMYK = frozenset({"JPEG", "TIFF"})
_WITH_16_BIT = frozenset({"PNG", "TIFF"})
_WITH_METADATA = frozenset({"AVIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"})

_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "AVIF": {"quality": 90},
    "HEIF": {"quality": 90},
    # 4:4:4: an edit changes colours, and half-resolution chroma would smear their edges.
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 4},
    "TIFF": {"compression": "tiff_lzw"},
    # exact: the colour of transparent pixels stays.
    "WEBP": {"quality": 95, "exact": True},
}
# A JPEG gets the tables its source had: what did not change then loses next to nothing, and it
# stays about as large. Coarser ones than libjpeg's own would spoil what the edit drew.
_JPEG_FLOOR = 75
# Mean of the luminance quantisation table of libjpeg at quality 50.
_JPEG_MEAN = 57.625
_TIFF_KEPT = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"})

_EXIF_ORIENTATION = 0x0112
# Sides of a picture of which one is so many times the other are not enlarged whole.
_LONG = 16

# What Pillow raises on damaged files, beyond OSError.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What is read and what is refused.

    Args:
        max_pixels: pictures with more are refused before they are decoded.
        allow_truncated: damaged files are read as far as they go.
        frame: which frame or page of several, the first being 1; ``None`` refuses such files.

    Raises:
        UsageError: a number is out of range.
    """

    max_pixels: int = MAX_PIXELS
    allow_truncated: bool = False
    frame: int | None = None

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise UsageError(f"--max-pixels {self.max_pixels}: must be at least 1")
        if self.frame is not None and self.frame < 1:
            raise UsageError(f"--frame {self.frame}: the first frame or page is 1")

    @property
    def facts(self) -> Mapping[str, object]:
        """What changes the pixels of a result, for the note in it."""
        return {} if self.frame is None else {"frame": self.frame}


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How a file keeps its pixels, as far as an output of its format does the same.

    Args:
        lossless: a WebP that keeps them as they are.
        tables: quantisation tables of a JPEG.
        progressive: a JPEG that shows up step by step.
        compression: Pillow's name of a TIFF's.
    """

    lossless: bool = False
    tables: Mapping[int, list[int]] = field(default_factory=dict)
    progressive: bool = False
    compression: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """One picture as the person gave it, upright.

    Args:
        name: the path or stream it came from, for messages.
        pixels: (H, W, 3) uint8 in [0, 255]: RGB, in the picture's own colour space unless that is
            CMYK or Lab.
        alpha: (H, W) uint8, 255 opaque, or ``None``.
        deep: (H, W, C) uint16: all channels of a 16-bit picture, which are grey, grey and alpha,
            RGB or RGBA; or ``None``.
        inks: (H, W, 4) uint8: a CMYK picture's own, or ``None``.
        mode: Pillow's mode of the file.
        format: Pillow's format name of the file, such as ``JPEG``.
        storage: how the file keeps its pixels.
        icc: embedded colour profile, or ``None``.
        exif: EXIF data without orientation and storage tags, or ``None``.
        xmp: XMP packet, or ``None``.
        text: texts of a PNG.
        comment: comment of a JPEG, or ``None``.
        dpi: resolution in dots per inch, (horizontal, vertical), or ``None``.
        notes: what the person should know about how it was read.
    """

    name: str
    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    deep: NDArray[np.uint16] | None = None
    inks: NDArray[np.uint8] | None = None
    mode: str = "RGB"
    format: str = "PNG"
    storage: Storage = Storage()
    icc: bytes | None = None
    exif: Image.Exif | None = None
    xmp: bytes | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    comment: bytes | None = None
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def deep_grey(self) -> NDArray[np.uint16] | None:
        """(H, W) uint16: the full depth of a 16-bit greyscale picture, or ``None``."""
        deep = self.deep
        return deep[:, :, 0] if deep is not None and deep.shape[2] < 3 else None

    @property
    def extension(self) -> str:
        """The usual extension of the file's format, or its name in lower case."""
        return _EXTENSIONS.get(self.format, f".{self.format.lower()}")


def is_picture_name(path: Path) -> bool:
    """Whether a file of this name is taken from a folder: HEIC only where it can be read."""
    format = FORMATS.get(path.suffix.lower())
    return format is not None and (format != "HEIF" or can_read_heif())


def can_read_heif() -> bool:
    """Whether pillow-heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


@functools.cache
def can_write_heif() -> bool:
    """Whether pillow-heif is installed and has an encoder."""
    if not can_read_heif():
        return False
    import pillow_heif

    return bool(pillow_heif.libheif_info()["HEIF"])


def written_extension(extension: str) -> str:
    """The extension of the output of an input that has this one.

    HEIC becomes ``.jpg`` where it can be read and not written.
    """
    heif = FORMATS.get(extension.lower()) == "HEIF"
    return ".jpg" if heif and not can_write_heif() else extension


class _Lenience:
    """Pillow's own limits, which hold for all threads at once.

    Its limit of pixels is off while we read, for ours holds. Threads that read by the same rule
    read at the same time, others wait.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._rule = False
        self._readers = 0
        self._before: tuple[int | None, bool] = (None, False)

    @contextlib.contextmanager
    def __call__(self, truncated: bool) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: not self._readers or self._rule == truncated)
            if not self._readers:
                self._before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
                Image.MAX_IMAGE_PIXELS = None
                ImageFile.LOAD_TRUNCATED_IMAGES = truncated
                self._rule = truncated
            self._readers += 1
        try:
            yield
        finally:
            with self._free:
                self._readers -= 1
                if not self._readers:
                    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._before
                self._free.notify_all()


_lenience = _Lenience()


class _Damaged(Exception):
    """A file that is a picture as far as its header says."""


def read_image(
    file: Path | BinaryIO, *, name: str | None = None, options: ReadOptions | None = None
) -> Source:
    """Read one picture completely.

    Args:
        file: a path, or a stream open for reading bytes.
        name: what messages call it; the path by default.
        options: what is refused.

    Raises:
        ImageError: it is missing, damaged, too large, animated or no picture; names it and says
            why.
    """
    name = name or str(file)
    options = options or ReadOptions()
    try:
        with contextlib.ExitStack() as stack:
            stream: BinaryIO = (
                stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
            )
            if not (isinstance(file, Path) and stream.seekable()):
                stream = BytesIO(stream.read())
            try:
                return _read(stream, name, options)
            except _Damaged as damage:
                if not options.allow_truncated:
                    raise ImageError(
                        f"{name}: cannot be read: is damaged or cut short ({damage}); "
                        "--allow-truncated takes what is there"
                    ) from damage
            stream.seek(0)
            source = _read(stream, name, options, truncated=True)
            return replace(
                source, notes=(*source.notes, "is damaged or cut short: parts of it are filled in")
            )
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a picture in a format that can be read") from error
    except MemoryError as error:
        raise ImageError(f"{name}: too large for the memory of this machine") from error
    except (*_DAMAGE, _Damaged) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"{name}: cannot be read: {reason}") from error


def _read(stream: BinaryIO, name: str, options: ReadOptions, *, truncated: bool = False) -> Source:
    with _opened(stream, name, options, truncated=truncated) as (image, header):
        return _source_of(image, name, options, header, stream)


@contextlib.contextmanager
def _opened(
    stream: BinaryIO, name: str, options: ReadOptions | None = None, *, truncated: bool = False
) -> Iterator[tuple[Image.Image, containers.Header]]:
    """A picture of which the header is read, and what we read there ourselves."""
    header = containers.read_header(stream)
    if header.empty:
        raise ImageError(f"{name}: is empty")
    if header.size is not None and options is not None:
        _refuse_large(header.size, name, options)
    if header.heif:
        _register_heif(name)
    with _lenience(truncated), warnings.catch_warnings():
        # Of broken EXIF, which we drop.
        warnings.simplefilter("ignore")
        with Image.open(stream) as image:
            yield image, header


def _register_heif(name: str) -> None:
    if not can_read_heif():
        raise ImageError(f"{name}: is HEIC, which needs pillow-heif: pip install pillow-heif")
    import pillow_heif

    pillow_heif.register_heif_opener()


def source_from_image(image: Image.Image, *, name: str = "picture") -> Source:
    """Take a picture that is already open in Pillow.

    Raises:
        ImageError: it is animated, damaged or of a kind that cannot be converted.
    """
    options = ReadOptions(max_pixels=max(MAX_PIXELS, image.width * image.height))
    try:
        return _source_of(image, name, options, containers.Header(), None)
    except (*_DAMAGE, _Damaged) as error:
        raise ImageError(f"{name}: cannot be read: {error}") from error


def _refuse_large(size: tuple[int, int], name: str, options: ReadOptions) -> None:
    width, height = size
    if width * height > options.max_pixels:
        raise ImageError(
            f"{name}: too large: {width} x {height} pixels are more than the "
            f"{options.max_pixels} that --max-pixels allows; where it is meant to be that large, "
            f"give --max-pixels {width * height}"
        )


def _choose_frame(image: Image.Image, name: str, options: ReadOptions) -> None:
    """Go to the frame or page that was asked for; refuse where there are several and none was."""
    frames = _frames(image)
    if options.frame is None:
        # Files of phones, one photograph and what belongs to it: the first is meant, or the one
        # that the file says.
        if len(frames) > 1 and image.format not in ("MPO", "HEIF"):
            raise ImageError(
                f"{name}: holds {len(frames)} frames or pages; --frame N takes one, from 1"
            )
        return
    if options.frame > len(frames):
        only = "only one picture" if len(frames) == 1 else f"{len(frames)} frames or pages"
        raise ImageError(f"{name}: holds {only}, there is no --frame {options.frame}")
    if options.frame > 1 or len(frames) > 1:
        image.seek(frames[options.frame - 1])


def _frames(image: Image.Image) -> list[int]:
    """Pillow's numbers of the frames, or of the pages that are no thumbnails or masks."""
    count = getattr(image, "n_frames", 1)
    if image.format != "TIFF" or count == 1:
        return list(range(count))
    pages = []
    for number in range(count):
        image.seek(number)
        if not image.tag_v2.get(0x00FE, 0) & 0b101:  # type: ignore[attr-defined]
            pages.append(number)
    image.seek(0)
    return pages or [0]


def _source_of(
    image: Image.Image,
    name: str,
    options: ReadOptions,
    header: containers.Header,
    stream: BinaryIO | None,
) -> Source:
    _refuse_large(image.size, name, options)
    # MPO is what many phones call a JPEG with a depth or gain map behind the photograph.
    format = "JPEG" if image.format == "MPO" else image.format or "PNG"
    try:
        _choose_frame(image, name, options)
        _refuse_large(image.size, name, options)
        bits = _bits(image, header)
        image.load()
        orientation = _orientation(image)
    except _DAMAGE as error:
        raise _Damaged(str(error)) from error
    exif, upright = _upright(image)
    if header.grey_alpha and upright.mode == "RGBA":
        upright = upright.convert("LA")
    # Some plugins know it only now.
    info = dict(image.info)
    mode = upright.mode
    xmp = info.get("xmp")
    source = Source(
        name=name,
        pixels=np.empty((0, 0, 3), np.uint8),
        mode=mode,
        format=format,
        storage=_storage(image, header),
        icc=info.get("icc_profile") or None,
        exif=exif,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        text=metadata.kept_text(info) if format == "PNG" else {},
        comment=_comment(info) if format == "JPEG" else None,
        dpi=_dpi(info),
    )

    if mode in ("I", "I;16", "I;16L", "I;16B", "I;16N"):
        deep_grey = np.asarray(upright)
        if deep_grey.min() < 0 or deep_grey.max() > 65535:
            raise ImageError(f"{name}: has more than 16 bits per pixel; save it with 16 or 8 first")
        return _with_deep(source, deep_grey.astype(np.uint16)[:, :, None])
    if mode == "F":
        raise ImageError(f"{name}: has floating-point pixels; save it with 16 or 8 bits first")
    if bits > 8:
        deep = None
        channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode)
        plain = format in _WITH_16_BIT and "transparency" not in info and options.frame in (None, 1)
        if bits == 16 and channels is not None and plain and stream is not None:
            deep = containers.read_deep(stream, channels)
        if deep is not None:
            # Two readers, one picture; Pillow's has the upper byte of each. OpenCV turns a TIFF.
            for found in (_turned(deep, orientation), deep):
                if np.array_equal(found >> 8, np.asarray(upright)):
                    return _with_deep(source, found)
        depth = "more than 8" if bits == 10 else str(bits)
        source = replace(
            source, notes=(f"has {depth} bits per channel, of which 8 are read and written",)
        )

    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in info:
        with_alpha = upright.convert("RGBA")
        alpha = np.asarray(with_alpha.getchannel("A"))
        return replace(source, pixels=np.asarray(with_alpha.convert("RGB")), alpha=alpha)
    if mode == "CMYK":
        rgb = _convert_profile(upright, _profile(source.icc), _srgb(), "RGB")
        return replace(source, pixels=np.asarray(rgb), inks=np.asarray(upright))
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        rgb = _convert_profile(upright, lab, _srgb(), "RGB")
        return replace(source, pixels=np.asarray(rgb), icc=None)
    return replace(source, pixels=np.asarray(upright.convert("RGB")))


def _with_deep(source: Source, deep: NDArray[np.uint16]) -> Source:
    pixels = containers.to_8_bits(deep)
    alpha = pixels[:, :, -1].copy() if deep.shape[2] in (2, 4) else None
    colours = pixels[:, :, :3] if deep.shape[2] > 2 else np.repeat(pixels[:, :, :1], 3, axis=2)
    return replace(source, pixels=np.ascontiguousarray(colours), alpha=alpha, deep=deep)


def _bits(image: Image.Image, header: containers.Header) -> int:
    """Bits per channel of the file, whatever Pillow makes of them."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, (1,))  # type: ignore[attr-defined]
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    return header.bits


def _storage(image: Image.Image, header: containers.Header) -> Storage:
    tables = getattr(image, "quantization", None) or {}
    compression = image.info.get("compression") if image.format == "TIFF" else None
    return Storage(
        lossless=header.lossless,
        tables={number: list(table) for number, table in tables.items()},
        progressive=bool(image.info.get("progressive")),
        compression=compression if compression in _TIFF_KEPT else None,
    )


def _comment(info: Mapping[Any, Any]) -> bytes | None:
    comment = info.get("comment")
    return comment if isinstance(comment, bytes) and len(comment) < 65000 else None


def _dpi(info: Mapping[Any, Any]) -> tuple[float, float] | None:
    value = info.get("dpi")
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    across, down = float(value[0]), float(value[1])
    return (across, down) if across > 0 and down > 0 else None


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(): that of a PNG would decode the whole picture.
        return int(Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1))
    except _DAMAGE:
        return 1


def _turned(pixels: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """(H, W, C) as stored -> as EXIF's orientation shows it."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _upright(image: Image.Image) -> tuple[Image.Exif | None, Image.Image]:
    """EXIF without orientation and storage tags, and the picture turned as it asks."""
    try:
        exif = image.getexif()
        return metadata.kept_exif(exif), ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error, OverflowError):
        # A picture with broken EXIF is still a picture.
        return None, image


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _profile(icc: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if icc is None:
        return None
    try:
        return ImageCms.ImageCmsProfile(BytesIO(icc))
    except OSError:
        return None


def _convert_profile(
    image: Image.Image,
    before: ImageCms.ImageCmsProfile | None,
    after: ImageCms.ImageCmsProfile | None,
    mode: str,
) -> Image.Image:
    """To ``mode`` by way of both profiles, or by arithmetic where one is missing or broken."""
    if before is not None and after is not None:
        with contextlib.suppress(ImageCms.PyCMSError):
            converted = ImageCms.profileToProfile(image, before, after, outputMode=mode)
            if converted is not None:
                return converted
    return image.convert(mode)


def over_white(source: Source) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the picture with its transparency blended over white."""
    if source.alpha is None:
        return source.pixels
    alpha = source.alpha[:, :, None].astype(np.uint32)
    blended = (source.pixels * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


def prepare(source: Source, size: int, fit: Fit) -> NDArray[np.float32]:
    """``square`` as the model takes it: (3, size, size) float32 in [-1, 1], x / 127.5 - 1."""
    pixels = square(source, size, fit)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0)


def square(source: Source, size: int, fit: Fit) -> NDArray[np.uint8]:
    """The square the model sees, in pixels.

    Transparency is blended over white and the picture resized with Lanczos, as the published model
    was trained.

    Args:
        source: the picture.
        size: side of the square in pixels.
        fit: how the frame becomes the square.

    Returns:
        (size, size, 3) uint8.
    """
    geometry = Geometry.of(source=source.size, size=size, fit=fit)
    image = Image.fromarray(over_white(source))
    left, top = geometry.offset
    if max(geometry.scaled) > _LONG * size:
        # The same square up to rounding, without a strip that could fill the memory.
        across, down = (
            length / scaled for length, scaled in zip(source.size, geometry.scaled, strict=True)
        )
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        image = image.resize((size, size), Image.Resampling.LANCZOS, box=box)
        left = top = 0
    else:
        image = image.resize(geometry.scaled, Image.Resampling.LANCZOS)
    pixels = np.asarray(image)[max(0, top) : top + size, max(0, left) : left + size]
    height, width = pixels.shape[:2]
    before = (max(0, -top), max(0, -left))
    after = (size - height - before[0], size - width - before[1])
    return np.pad(pixels, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")


def to_pixels(decoded: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(3, H, W) float32 in [-1, 1], values beyond clipped -> (H, W, 3) uint8."""
    scaled = np.rint((decoded.transpose(1, 2, 0) + 1.0) * 127.5)
    pixels: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return pixels


def restore(
    source: Source,
    decoded_source: NDArray[np.float32] | None,
    decoded_edited: NDArray[np.float32],
    *,
    fit: Fit,
    preserve: bool = True,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    free: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Bring the model's square back to the source's size and whole frame.

    With ``preserve`` the edit is carried over to the source (``restoration``): detail the tokenizer
    cannot carry stays the source's own. Without it the edited square itself is enlarged. What lies
    outside the square (``Fit.CROP``) stays the source's.

    Args:
        source: the picture the square was made from.
        decoded_source: (3, S, S) float32 in [-1, 1]: the source's codes, decoded; only
            ``preserve`` needs it.
        decoded_edited: (3, S, S) float32 in [-1, 1]: the edited codes, decoded.
        fit: what ``prepare`` was called with.
        preserve: keep the source's own detail.
        codes: (h, w) codes of the source and of the edit; regions where they are equal stay the
            source's, bit for bit.
        free: (h, w) codes that could be edited, all if ``None``: what the others show is no edit.

    Returns:
        (H, W, 3) uint8 at the source's size.
    """
    size = decoded_edited.shape[-1]
    geometry = Geometry.of(source=source.size, size=size, fit=fit)
    left, top, right, bottom = geometry.source_box
    inner = geometry.model_box
    pixels = source.pixels.copy()
    region = pixels[top:bottom, left:right]
    if preserve:
        assert decoded_source is not None
        seen = (slice(inner[1], inner[3]), slice(inner[0], inner[2]))
        before, after = (
            (picture.transpose(1, 2, 0)[seen] + 1) / 2
            for picture in (decoded_source, decoded_edited)
        )
        kept = None if codes is None else kept_weights(*codes, size=size, free=free)[seen]
        told = None if free is None else _enlarged_cells(free, size)[seen]
        region[:] = transfer_edit(region, before, after, kept=kept, free=told)
        return pixels
    region[:] = enlarge(decoded_edited, geometry)
    return pixels


def _enlarged_cells(cells: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """(h, w) -> (size, size)."""
    rows, columns = (np.arange(size) * count // size for count in cells.shape)
    return cells[np.ix_(rows, columns)]


def enlarge(decoded: NDArray[np.float32], geometry: Geometry) -> NDArray[np.uint8]:
    """The model's square at the size of the part of the source that it shows.

    Args:
        decoded: (3, S, S) float32 in [-1, 1].
        geometry: how the source became the square.

    Returns:
        (H, W, 3) uint8, the size of ``geometry.source_box``.
    """
    left, top, right, bottom = geometry.source_box
    result = np.empty((bottom - top, right - left, 3), np.uint8)
    for channel in range(3):
        plane = Image.fromarray((decoded[channel] + 1) * np.float32(127.5))
        large = plane.crop(geometry.model_box).resize(
            (right - left, bottom - top), Image.Resampling.BICUBIC
        )
        result[:, :, channel] = np.clip(np.rint(np.asarray(large, np.float32)), 0, 255)
    return result


def output_format(path: Path, source: Source) -> str:
    """Pillow's name of the format ``path`` asks for: its extension's, else the source's.

    Raises:
        ImageError: the source's format cannot be written.
    """
    format = FORMATS.get(path.suffix.lower(), source.format)
    if format not in _EXTENSIONS:
        raise ImageError(f"{source.name}: {format} can be read but not written; give --format png")
    if format == "HEIF" and not can_write_heif():
        raise ImageError(
            f"{source.name}: HEIC cannot be written here; give --format jpg, "
            "or pip install pillow-heif"
        )
    return format


def encode_image(
    pixels: NDArray[np.uint8],
    source: Source,
    *,
    format: str,
    note: Note | None = None,
    strip: bool = False,
) -> bytes:
    """The file of an edited picture.

    Greyscale and CMYK are converted back, 16 bits, alpha, colour profile, EXIF, XMP and resolution
    go along as far as the format has them. It is stored as the source was where that is of the
    same format: without loss, or as a JPEG with the source's quantisation tables, or those of
    quality 75 where the source's are coarser.

    Args:
        pixels: (H, W, 3) uint8 RGB, at the source's size or any other.
        source: the picture it was made from.
        format: Pillow's name of the format.
        note: how it was made, kept in EXIF, XMP and the text of a PNG.
        strip: leave out EXIF, XMP, text and the note; profile and resolution stay.

    Raises:
        ImageError: the format cannot hold the picture.
    """
    if strip:
        note = None
        source = replace(source, exif=None, xmp=None, text={}, comment=None)
    if format == "HEIF":
        _register_heif(source.name)
    image, icc = _to_source_mode(pixels, source, format)
    size = (pixels.shape[1], pixels.shape[0])
    options = _save_options(source, format)
    exif = metadata.exif_to_write(source.exif, size, note, format=format)
    xmp = metadata.xmp_to_write(
        source.xmp, note, same_size=pixels.shape == source.pixels.shape, format=format
    )
    if format in _WITH_METADATA:
        if icc is not None:
            options["icc_profile"] = icc
        if source.dpi is not None and format in ("JPEG", "PNG", "TIFF"):
            options["dpi"] = source.dpi
        if format == "PNG":
            options["pnginfo"] = metadata.png_text(source.text, xmp, note)
        elif format == "TIFF" and xmp is not None:
            exif[metadata.TIFF_XMP] = xmp
        elif xmp is not None:
            options["xmp"] = xmp
        if len(exif):
            options["exif"] = exif.tobytes()
        if format == "JPEG" and source.comment is not None:
            options["comment"] = source.comment
    buffer = BytesIO()
    try:
        if isinstance(image, np.ndarray) and format == "TIFF":
            return containers.deep_tiff(
                image,
                exif=exif,
                icc=icc,
                dpi=source.dpi,
                compressed=source.storage.compression != "raw",
            )
        # Pillow has no such PNG: it writes a small one for what stands beside the pixels.
        small = Image.new("RGB", (1, 1)) if isinstance(image, np.ndarray) else image
        small.save(buffer, format, **options)
        if isinstance(image, np.ndarray):
            return containers.deep_png(image, buffer.getvalue())
    except (OSError, ValueError, TypeError, RuntimeError, struct.error) as error:
        raise ImageError(f"{source.name}: cannot be written as {format}: {error}") from error
    return buffer.getvalue()


def _save_options(source: Source, format: str) -> dict[str, Any]:
    """How the pixels are stored: as the source's where that is of the same format."""
    options: dict[str, Any] = dict(_SAVE_OPTIONS.get(format, {}))
    storage = source.storage
    if source.format != format:
        return options
    if format == "JPEG" and storage.tables:
        if round(jpeg_quality(storage.tables)) < _JPEG_FLOOR:
            options["quality"] = _JPEG_FLOOR
        else:
            del options["quality"]
            options["qtables"] = [storage.tables[number] for number in sorted(storage.tables)]
        options["progressive"] = storage.progressive
    if format == "WEBP" and storage.lossless:
        # Of a lossless one this is the effort.
        options.update(lossless=True, quality=75)
    if format == "TIFF" and storage.compression is not None:
        options["compression"] = storage.compression
    return options


def jpeg_quality(tables: Mapping[int, list[int]]) -> float:
    """The quality at which libjpeg would quantise about as finely, in [1, 100]."""
    scale = 100 * float(np.mean(tables[min(tables)])) / _JPEG_MEAN
    quality = 100 - scale / 2 if scale <= 100 else 5000 / scale
    return min(100.0, max(1.0, quality))


def _to_source_mode(
    pixels: NDArray[np.uint8], source: Source, format: str
) -> tuple[Image.Image | NDArray[np.uint16], bytes | None]:
    """The picture in the source's colour mode, and the profile that fits it.

    What Pillow has no picture of, (H, W, C) uint16 with two channels or more, stays an array.
    """
    same_size = pixels.shape == source.pixels.shape
    deep_enough = format == "PNG" or (format == "TIFF" and source.mode != "LA")
    if source.deep is not None and same_size and deep_enough:
        deep = _deepened(pixels, source.pixels, source.deep)
        return Image.fromarray(deep[:, :, 0]) if deep.shape[2] == 1 else deep, source.icc

    image = Image.fromarray(pixels)
    if source.mode == "CMYK":
        if format not in _WITH_CMYK:
            # The pixels are sRGB now; the CMYK profile would misread them.
            return image, None
        image = _convert_profile(image, _srgb(), _profile(source.icc), "CMYK")
        if source.inks is not None and same_size:
            # The way there and back rounds; what did not change is the source's own.
            kept = (pixels == source.pixels).all(axis=2, keepdims=True)
            image = Image.fromarray(np.where(kept, source.inks, np.asarray(image)), "CMYK")
        return image, source.icc

    grey = source.mode in ("1", "L", "LA", "La") or source.deep_grey is not None
    if grey:
        image = image.convert("L")
    if source.alpha is not None and same_size:
        if format in _WITH_ALPHA:
            image.putalpha(Image.fromarray(source.alpha))
        else:
            white = Image.new(image.mode, image.size, "white")
            image = Image.composite(image, white, Image.fromarray(source.alpha))
    return image, source.icc


def _deepened(
    pixels: NDArray[np.uint8], before: NDArray[np.uint8], deep: NDArray[np.uint16]
) -> NDArray[np.uint16]:
    """The change from ``before`` to ``pixels``, both (H, W, 3), made to (H, W, C) of 16 bits."""
    result = deep.copy()
    colours = [0, 1, 2] if deep.shape[2] > 2 else [0]
    after = pixels
    if len(colours) == 1:
        after = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    for channel in colours:
        change = after[:, :, channel].astype(np.int32) - before[:, :, channel]
        result[:, :, channel] = np.clip(deep[:, :, channel] + change * 257, 0, 65535)
    return result


def to_image(pixels: NDArray[np.uint8], source: Source) -> Image.Image:
    """(H, W, 3) uint8 RGB -> a Pillow picture in the source's mode, with its alpha and profile."""
    if source.deep is not None and source.deep.shape[2] > 1:
        # Pillow has no such mode.
        source = replace(source, deep=None)
    image, icc = _to_source_mode(pixels, source, "TIFF")
    assert isinstance(image, Image.Image)
    if icc is not None:
        image.info["icc_profile"] = icc
    return image


def write_image(
    path: Path, data: bytes, *, ready: Callable[[Path], None] = lambda part: None
) -> None:
    """Put a finished file at ``path``: whole or not at all.

    Args:
        path: its name.
        data: its bytes.
        ready: called with the complete file just before it takes its name.

    Raises:
        ImageError: the folder or the file cannot be written, or ``ready`` raised an OSError.
    """
    try:
        with _replacing(path, ready) as stream:
            stream.write(data)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror or error}") from error


def part_label(name: str) -> str:
    """What the unfinished file of this name is called, without what is added to it."""
    data = os.fsencode(name)
    if len(data) <= 200:
        return name
    # The name may be as long as names can be, and like another's up to the last letter.
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@contextlib.contextmanager
def _replacing(path: Path, ready: Callable[[Path], None]) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its name once it is complete."""
    # The real file, so that a link to it stays a link.
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{part_label(target.name)}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        if target.exists():
            shutil.copymode(target, part)
        ready(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Glance:
    """What a picture's first bytes tell of it.

    Args:
        size: (width, height) in pixels, upright.
        in_browsers: whether every browser shows the file as it is, upright and in its colours.
        alpha: it may be transparent in places.
    """

    size: tuple[int, int]
    in_browsers: bool
    alpha: bool


def glance(path: Path) -> Glance:
    """Look at a picture without decoding it.

    Raises:
        ImageError: it is missing or no picture.
    """
    try:
        with path.open("rb") as stream, _opened(stream, str(path)) as (image, _):
            turned = _orientation(image)
            return _glance_of(image, turned if turned in range(2, 9) else 1)
    except _DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"{path}: cannot be read: {reason}") from error


def _glance_of(image: Image.Image, turned: int) -> Glance:
    width, height = image.size
    jpeg = image.format in ("JPEG", "MPO")
    return Glance(
        # The orientations from 5 on have rows and columns exchanged.
        size=(height, width) if turned >= 5 else (width, height),
        in_browsers=(jpeg and image.mode != "CMYK")
        # Browsers turn JPEG files alone as their EXIF asks.
        or (image.format in ("AVIF", "BMP", "GIF", "PNG", "WEBP") and turned == 1),
        alpha=image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
    )


def thumbnail(path: Path, box: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture as it looks, upright, in sRGB, over white, no larger than ``box``.

    Args:
        path: the picture.
        box: (width, height) in pixels; it is never enlarged.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: the picture cannot be read.
    """
    source = _shrunk(path, max(box))
    small = Image.fromarray(over_white(source))
    small.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if source.mode in ("RGB", "RGBA", "P", "PA") and source.icc is not None:
        small = _convert_profile(small, _profile(source.icc), _srgb(), "RGB")
    return np.asarray(small)


def small_copy(path: Path, side: int) -> tuple[bytes, str]:
    """A small file of a picture for a browser: upright, 8 bits, with its profile and alpha.

    Args:
        path: the picture.
        side: longest side in pixels that the copy may have; it is never enlarged.

    Returns:
        the file and its extension: ``.jpg``, or ``.webp`` with alpha.

    Raises:
        ImageError: the picture cannot be read.
    """
    source = _shrunk(path, side)
    small = Image.fromarray(source.pixels)
    if source.alpha is not None:
        small.putalpha(Image.fromarray(source.alpha))
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    # CMYK has become sRGB, and a profile of grey does not fit three channels.
    icc = source.icc if source.mode in ("RGB", "RGBA", "P", "PA") else None
    buffer = BytesIO()
    if source.alpha is None:
        small.save(buffer, "JPEG", quality=85, icc_profile=icc)
        return buffer.getvalue(), ".jpg"
    small.save(buffer, "WEBP", quality=85, method=2, icc_profile=icc or b"")
    return buffer.getvalue(), ".webp"


def _shrunk(path: Path, side: int) -> Source:
    """A picture with at least ``side`` pixels along its long side, if it has so many."""
    try:
        # It has been edited: whatever was wrong with it was allowed.
        rules = ReadOptions(max_pixels=sys.maxsize, frame=1)
        with path.open("rb") as stream, _opened(stream, str(path), truncated=True) as found:
            image, header = found
            # A JPEG decodes to a half, a quarter or an eighth in a fraction of the time.
            image.draft(None, (side, side))
            return _source_of(image, str(path), rules, header, None)
    except (*_DAMAGE, _Damaged, MemoryError) as error:
        raise ImageError(f"{path}: cannot be read: {error}") from error
