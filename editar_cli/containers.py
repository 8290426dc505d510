"""What picture files say of themselves that Pillow does not tell, and files of 16 bits per channel
that it does not read or write.
"""

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_HEAD = 1 << 16
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the start of a file says.

    Args:
        empty: there is nothing.
        heif: a picture that Pillow needs pillow-heif for.
        lossless: a WebP whose pixels are stored as they were.
        bits: per channel; 8 where that is not to be told from the start.
        grey_alpha: a PNG of grey and alpha, which Pillow takes as RGBA where it has 16 bits.
        size: (width, height) in pixels where decoders would make room for it at once, or ``None``.
    """

    empty: bool = False
    heif: bool = False
    lossless: bool = False
    bits: int = 8
    grey_alpha: bool = False
    size: tuple[int, int] | None = None


def read_header(stream: BinaryIO) -> Header:
    """Look at the start of a file and go back to it."""
    head = stream.read(_HEAD)
    try:
        return _header(head, stream)
    except (struct.error, IndexError):
        # Cut short: Pillow says so better.
        return Header()
    finally:
        stream.seek(0)


def _header(head: bytes, stream: BinaryIO) -> Header:
    if not head:
        return Header(empty=True)
    if head.startswith(_PNG_SIGNATURE):
        return Header(bits=head[24], grey_alpha=head[25] == 4)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(stream)
    if head[4:8] == b"ftyp":
        (length,) = struct.unpack_from(">I", head)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(length, 256), 4))}
        avif = not brands.isdisjoint({b"avif", b"avis"})
        # Of an AVIF, the third byte of its configuration has a flag for more than 8 bits.
        at = head.find(b"av1C")
        deep = avif and at >= 0 and head[at + 6] & 0x40
        return Header(heif=not avif and head[8:12] in _HEIF_BRANDS, bits=10 if deep else 8)
    if head[4:8] == b"jP  " and (at := head.find(b"ihdr")) >= 0:
        return Header(bits=(head[at + 14] & 0x7F) + 1)
    if found := re.match(rb"P[56](?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s+(\d+)\s", head):
        return Header(bits=16 if int(found[3]) > 255 else 8)
    return Header()


def _webp(stream: BinaryIO) -> Header:
    """Walk through its chunks to the pixels."""
    size = None
    at = 12
    while True:
        stream.seek(at)
        chunk = stream.read(24)
        name = chunk[:4]
        (length,) = struct.unpack_from("<I", chunk, 4)
        if name == b"VP8X":
            width, height = (int.from_bytes(chunk[at : at + 3], "little") + 1 for at in (12, 15))
            size = width, height
        elif name == b"ANMF":
            # A frame: its own chunks start behind 16 bytes of where and when.
            at += 24
            continue
        elif name in (b"VP8 ", b"VP8L"):
            return Header(lossless=name == b"VP8L", size=size)
        at += 8 + length + (length & 1)


def read_deep(stream: BinaryIO, channels: int) -> NDArray[np.uint16] | None:
    """The pixels of a PNG or TIFF with 16 bits per channel.

    Args:
        stream: the file, read from its start.
        channels: 2 grey and alpha, 3 RGB, 4 RGBA.

    Returns:
        (H, W, channels) uint16 as the file has them, not turned upright; ``None`` where they
        cannot be read.
    """
    import cv2

    stream.seek(0)
    data = np.frombuffer(stream.read(), np.uint8)
    # It would tell of every private tag on standard error.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        return None
    # OpenCV has them as BGR, and grey with alpha as BGRA.
    order = {2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    if pixels.shape[2] <= max(order):
        return None
    return np.ascontiguousarray(pixels[:, :, order])


def to_8_bits(deep: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Any shape, rounded: x / 257, so that white stays white."""
    # The limit keeps the sum within 16 bits and white white.
    return ((np.minimum(deep, 65407) + 128) // 257).astype(np.uint8)


def deep_png(pixels: NDArray[np.uint16], beside: bytes) -> bytes:
    """A PNG of 16 bits per channel.

    Args:
        pixels: (H, W, C) uint16: grey, grey and alpha, RGB or RGBA.
        beside: a PNG whose profile, metadata and text it is to have.
    """
    height, width, channels = pixels.shape
    step = 2 * channels
    rows = np.ascontiguousarray(pixels.astype(">u2")).view(np.uint8).reshape(height, width * step)
    # Of each row the differences to its left or to the row above, whichever are smaller: what PNG's
    # authors advise.
    left = rows.copy()
    left[:, step:] -= rows[:, :-step]
    above = rows.copy()
    above[1:] -= rows[:-1]
    cost = [np.abs(found.view(np.int8).astype(np.int16)).sum(axis=1) for found in (left, above)]
    up = cost[1] < cost[0]
    filtered = np.empty((height, 1 + width * step), np.uint8)
    filtered[:, 0] = np.where(up, 2, 1)
    filtered[:, 1:] = np.where(up[:, None], above, left)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    kept = b"".join(
        _chunk(name, data)
        for name, data in _chunks(beside)
        if name not in (b"IHDR", b"IDAT", b"IEND")
    )
    data = _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 4))
    return _PNG_SIGNATURE + _chunk(b"IHDR", header) + kept + data + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    at = len(_PNG_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def deep_tiff(
    pixels: NDArray[np.uint16],
    *,
    exif: Image.Exif,
    icc: bytes | None,
    dpi: tuple[float, float] | None,
    compressed: bool,
) -> bytes:
    """A TIFF of 16 bits per channel, deflated or as it is.

    Args:
        pixels: (H, W, C) uint16: grey, RGB or RGBA.
        exif: tags to go along, XMP among them.
        icc: colour profile, or ``None``.
        dpi: resolution in dots per inch, (horizontal, vertical), or ``None``.
        compressed: whether to deflate.
    """
    height, width, channels = pixels.shape
    tags = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in exif.items():
        tags[tag] = value
    rows = pixels.astype("<u2")
    if compressed:
        # Differences between neighbours, TIFF's "horizontal predictor".
        rows[:, 1:] -= pixels[:, :-1].astype("<u2")
        data = zlib.compress(rows.tobytes(), 4)
        tags[317] = 2
    else:
        data = rows.tobytes()
    known: Mapping[int, object] = {
        256: width,
        257: height,
        258: (16,) * channels,
        259: 8 if compressed else 1,
        262: 1 if channels < 3 else 2,
        # Moved behind the tags as these are written.
        273: 0,
        277: channels,
        278: height,
        279: len(data),
        284: 1,
        339: (1,) * channels,
    }
    for tag, value in known.items():
        tags[tag] = value
    if channels == 4:
        # Alpha that the colours are not multiplied with.
        tags[338] = 2
    if icc is not None:
        tags[34675] = icc
    if dpi is not None:
        tags[296], tags[282], tags[283] = 2, dpi[0], dpi[1]
    file = BytesIO()
    tags.save(file)
    file.write(data)
    return file.getvalue()
