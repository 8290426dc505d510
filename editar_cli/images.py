"""Pictures in and out: read, prepare for the model, restore to full size, write.

The arrays in this file are HWC uint8 in [0, 255] on the file's side and CHW float32 in [-1, 1] on
the model's side.
"""

import contextlib
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from editar_cli.errors import ImageError
from editar_cli.geometry import Fit, Geometry
from editar_cli.restoration import kept_weights, transfer_edit

FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
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
"""Extension -> Pillow's name, for every format that is both found in folders and written."""

_EXTENSIONS = {
    "AVIF": ".avif",
    "BMP": ".bmp",
    "GIF": ".gif",
    "JPEG": ".jpg",
    "JPEG2000": ".jp2",
    "PNG": ".png",
    "PPM": ".ppm",
    "TIFF": ".tif",
    "WEBP": ".webp",
}

_WITH_ALPHA = frozenset({"AVIF", "GIF", "JPEG2000", "PNG", "TIFF", "WEBP"})
_WITH_CMYK = frozenset({"JPEG", "TIFF"})
_WITH_16_BIT = frozenset({"PNG", "TIFF"})
_WITH_METADATA = frozenset({"AVIF", "JPEG", "PNG", "TIFF", "WEBP"})

_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "AVIF": {"quality": 90},
    # 4:4:4: an edit changes colours, and half-resolution chroma would smear their edges.
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 4},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"quality": 95},
}

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
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_EXIF_PROCESSING_SOFTWARE = 0x000B
_EXIF_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003
# Tags that say how the old file's pixels were stored, not what the picture shows.
_EXIF_STRUCTURE = frozenset(
    {0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0112, 0x0115}
    | {0x0116, 0x0117, 0x011C, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0152}
    | {0x0153, 0x015B, 0x0201, 0x0202, 0x0212, 0x0213, 0x0214, 0x8773}
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One picture as the person gave it, upright.

    Args:
        name: the path or stream it came from, for messages.
        pixels: (H, W, 3) uint8 in [0, 255]: RGB, in the picture's own colour space unless that is
            CMYK.
        alpha: (H, W) uint8, 255 opaque, or ``None``.
        deep_grey: (H, W) uint16: the full depth of a 16-bit greyscale picture, or ``None``.
        mode: Pillow's mode of the file.
        format: Pillow's format name of the file, such as ``JPEG``.
        icc: embedded colour profile, or ``None``.
        exif: EXIF data without orientation and storage tags, or ``None``.
        dpi: resolution in dots per inch, (horizontal, vertical), or ``None``.
    """

    name: str
    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    deep_grey: NDArray[np.uint16] | None = None
    mode: str = "RGB"
    format: str = "PNG"
    icc: bytes | None = None
    exif: Image.Exif | None = None
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def extension(self) -> str:
        """The usual extension of the file's format, or its name in lower case."""
        return _EXTENSIONS.get(self.format, f".{self.format.lower()}")


def read_image(file: Path | BinaryIO, *, name: str | None = None) -> Source:
    """Read one picture completely.

    Args:
        file: a path, or a stream open for reading bytes.
        name: what messages call it; the path by default.

    Raises:
        ImageError: it is missing, damaged, too large, animated or no picture; names it and says
            why.
    """
    name = name or str(file)
    try:
        with warnings.catch_warnings():
            # Pillow warns of broken EXIF, which we drop, and from 89 megapixels on; at 179 it
            # raises. Only what raises is news to the person.
            warnings.simplefilter("ignore")
            data = file if isinstance(file, Path) else BytesIO(file.read())
            with Image.open(data) as image:
                return _source_of(image, name)
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a picture in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: too large ({error}); if it is meant to be that large, shrink it first"
        ) from error
    except MemoryError as error:
        raise ImageError(f"{name}: too large for the memory of this machine") from error
    except _DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"{name}: cannot be read: {reason}") from error


def source_from_image(image: Image.Image, *, name: str = "picture") -> Source:
    """Take a picture that is already open in Pillow.

    Raises:
        ImageError: it is animated, damaged or of a kind that cannot be converted.
    """
    try:
        return _source_of(image, name)
    except _DAMAGE as error:
        raise ImageError(f"{name}: cannot be read: {error}") from error


def _source_of(image: Image.Image, name: str) -> Source:
    # MPO is what many phones call a JPEG with a depth or gain map behind the photograph.
    format = "JPEG" if image.format == "MPO" else image.format or "PNG"
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ImageError(
            f"{name}: holds {frames} frames or pages; save the one to edit as a picture of its own"
        )
    image.load()
    info = dict(image.info)
    exif, upright = _upright(image)
    mode = upright.mode
    icc = info.get("icc_profile") or None

    alpha = None
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in info:
        with_alpha = upright.convert("RGBA")
        alpha = np.asarray(with_alpha.getchannel("A"))
        rgb = with_alpha.convert("RGB")
    elif mode.startswith("I"):
        deep = np.asarray(upright)
        if deep.min() < 0 or deep.max() > 65535:
            raise ImageError(f"{name}: has more than 16 bits per pixel; save it with 16 or 8 first")
        deep_grey = deep.astype(np.uint16)
        # 257 = 65535 / 255, so white stays white.
        grey = ((deep_grey.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return Source(
            name=name,
            pixels=np.repeat(grey[:, :, None], 3, axis=2),
            deep_grey=deep_grey,
            mode=mode,
            format=format,
            icc=icc,
            exif=exif,
            dpi=_dpi(info),
        )
    elif mode == "F":
        raise ImageError(f"{name}: has floating-point pixels; save it with 16 or 8 bits first")
    elif mode == "CMYK":
        rgb = _convert_profile(upright, _profile(icc), _srgb(), "RGB")
    else:
        rgb = upright.convert("RGB")
    return Source(
        name=name,
        pixels=np.asarray(rgb),
        alpha=alpha,
        mode=mode,
        format=format,
        icc=icc,
        exif=exif,
        dpi=_dpi(info),
    )


def _dpi(info: dict[str | tuple[int, int], object]) -> tuple[float, float] | None:
    value = info.get("dpi")
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    across, down = float(value[0]), float(value[1])
    return (across, down) if across > 0 and down > 0 else None


def _upright(image: Image.Image) -> tuple[Image.Exif | None, Image.Image]:
    """EXIF without orientation and storage tags, and the picture turned as it asks."""
    try:
        exif = image.getexif()
        upright = ImageOps.exif_transpose(image)
        kept = Image.Exif()
        for tag, value in exif.items():
            if tag not in _EXIF_STRUCTURE:
                kept[tag] = exif.get_ifd(tag) if tag in (_EXIF_IFD, 0x8825, 0xA005) else value
        # Writing is what finds out whether the values make sense.
        kept.tobytes()
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error, OverflowError):
        # A picture with broken EXIF is still a picture.
        return None, image
    return (kept if len(kept) else None), upright


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
    """The square the model sees.

    Transparency is blended over white, the picture resized with Lanczos, and x / 127.5 - 1 taken,
    as the published model was trained.

    Args:
        source: the picture.
        size: side of the square in pixels.
        fit: how the frame becomes the square.

    Returns:
        (3, size, size) float32 in [-1, 1].
    """
    geometry = Geometry.of(source=source.size, size=size, fit=fit)
    image = Image.fromarray(over_white(source)).resize(geometry.scaled, Image.Resampling.LANCZOS)
    left, top = geometry.offset
    pixels = np.asarray(image)[max(0, top) : top + size, max(0, left) : left + size]
    height, width = pixels.shape[:2]
    before = (max(0, -top), max(0, -left))
    after = (size - height - before[0], size - width - before[1])
    square = np.pad(pixels, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")
    return np.ascontiguousarray(square.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0)


def to_pixels(decoded: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(3, H, W) float32 in [-1, 1], values beyond clipped -> (H, W, 3) uint8."""
    scaled = np.rint((decoded.transpose(1, 2, 0) + 1.0) * 127.5)
    pixels: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return pixels


def restore(
    source: Source,
    decoded_source: NDArray[np.float32],
    decoded_edited: NDArray[np.float32],
    *,
    fit: Fit,
    preserve: bool = True,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> NDArray[np.uint8]:
    """Bring the model's square back to the source's size and whole frame.

    With ``preserve`` the edit is carried over to the source (``restoration``): detail the tokenizer
    cannot carry stays the source's own. Without it the edited square itself is enlarged. What lies
    outside the square (``Fit.CROP``) stays the source's.

    Args:
        source: the picture the square was made from.
        decoded_source: (3, S, S) float32 in [-1, 1]: the source's codes, decoded.
        decoded_edited: (3, S, S) float32 in [-1, 1]: the edited codes, decoded.
        fit: what ``prepare`` was called with.
        preserve: keep the source's own detail.
        codes: (h, w) codes of the source and of the edit; regions where they are equal stay the
            source's, bit for bit.

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
        seen = (slice(inner[1], inner[3]), slice(inner[0], inner[2]))
        before, after = (
            (picture.transpose(1, 2, 0)[seen] + 1) / 2
            for picture in (decoded_source, decoded_edited)
        )
        kept = None if codes is None else kept_weights(*codes, size=size)[seen]
        region[:] = transfer_edit(region, before, after, kept=kept)
        return pixels
    region[:] = enlarge(decoded_edited, geometry)
    return pixels


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
    return format


def encode_image(
    pixels: NDArray[np.uint8], source: Source, *, format: str, note: str | None = None
) -> bytes:
    """The file of an edited picture.

    Greyscale and CMYK are converted back, alpha, colour profile, EXIF and resolution go along as
    far as the format has them.

    Args:
        pixels: (H, W, 3) uint8 RGB, at the source's size or any other.
        source: the picture it was made from.
        format: Pillow's name of the format.
        note: kept in the EXIF field for processing software; ASCII.

    Raises:
        ImageError: the format cannot hold the picture.
    """
    image, icc = _to_source_mode(pixels, source, format)
    options = dict(_SAVE_OPTIONS.get(format, {}))
    if format in _WITH_METADATA:
        options["exif"] = _exif_bytes(source, image.size, note)
        if icc is not None:
            options["icc_profile"] = icc
        if source.dpi is not None and format in ("JPEG", "PNG", "TIFF"):
            options["dpi"] = source.dpi
    buffer = BytesIO()
    try:
        image.save(buffer, format, **options)
    except (OSError, ValueError, struct.error) as error:
        raise ImageError(f"{source.name}: cannot be written as {format}: {error}") from error
    return buffer.getvalue()


def _to_source_mode(
    pixels: NDArray[np.uint8], source: Source, format: str
) -> tuple[Image.Image, bytes | None]:
    """The picture in the source's colour mode, and the profile that fits it."""
    same_size = pixels.shape == source.pixels.shape
    if source.deep_grey is not None and same_size and format in _WITH_16_BIT:
        before = source.pixels[:, :, 0].astype(np.int32)
        after = np.asarray(Image.fromarray(pixels).convert("L"), np.int32)
        deep = np.clip(source.deep_grey + (after - before) * 257, 0, 65535)
        return Image.fromarray(deep.astype(np.uint16)), source.icc

    image = Image.fromarray(pixels)
    if source.mode == "CMYK":
        if format not in _WITH_CMYK:
            # The pixels are sRGB now; the CMYK profile would misread them.
            return image, None
        return _convert_profile(image, _srgb(), _profile(source.icc), "CMYK"), source.icc

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


def _exif_bytes(source: Source, size: tuple[int, int], note: str | None) -> bytes:
    exif = Image.Exif()
    for tag, value in (source.exif or {}).items():
        exif[tag] = dict(value) if isinstance(value, dict) else value
    details = exif.get(_EXIF_IFD)
    if isinstance(details, dict):
        for tag, length in zip((_EXIF_WIDTH, _EXIF_HEIGHT), size, strict=True):
            if tag in details:
                details[tag] = length
    if note is not None:
        exif[_EXIF_PROCESSING_SOFTWARE] = note
    return exif.tobytes()


def to_image(pixels: NDArray[np.uint8], source: Source) -> Image.Image:
    """(H, W, 3) uint8 RGB -> a Pillow picture in the source's mode, with its alpha and profile."""
    image, icc = _to_source_mode(pixels, source, "TIFF")
    if icc is not None:
        image.info["icc_profile"] = icc
    return image


def write_image(path: Path, data: bytes) -> None:
    """Put a finished file at ``path``: whole or not at all.

    Raises:
        ImageError: the folder or the file cannot be written.
    """
    try:
        with _replacing(path) as stream:
            stream.write(data)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its name once it is complete."""
    # The real file, so that a link to it stays a link.
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        if target.exists():
            shutil.copymode(target, part)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # What a broken EXIF says is nothing, here as in _upright.
                with contextlib.suppress(*_DAMAGE):
                    # Not image.getexif(): that of a PNG would decode the whole picture.
                    turned = Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1)
                    turned = turned if turned in range(2, 9) else 1
                    return _glance_of(image, turned)
                return _glance_of(image, 1)
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # A JPEG decodes to a half, a quarter or an eighth in a fraction of the time.
                image.draft(None, (side, side))
                source = _source_of(image, str(path))
    except (*_DAMAGE, MemoryError) as error:
        raise ImageError(f"{path}: cannot be read: {error}") from error
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
