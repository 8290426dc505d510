"""One folder with all that folders of pictures have been seen to hold, good, odd and broken."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

WIDTH, HEIGHT = 48, 36


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One file of the folder and what must become of it.

    Args:
        name: path below the folder.
        write: puts it at a path.
        fate: "made": a result; "told": no result, and one line on standard error; "left": no
            picture, and neither.
        size: (width, height) of the result, upright.
        mode: Pillow's mode of the result.
        shows: said in the line on standard error.
    """

    name: str
    write: Callable[[Path], None]
    fate: Literal["made", "told", "left"] = "made"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    mode: str = "RGB"
    shows: str = ""


def photo(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A picture with colour ramps and a light square at its top left, so that turns show."""
    x = np.linspace(0, 200, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 200, height)[:, None].repeat(width, 1)
    pixels = np.stack([x, y, 255 - x], axis=2).astype(np.uint8)
    pixels[: height // 3, : width // 3] = 250
    return Image.fromarray(pixels)


def saved(
    mode: str = "RGB", *, width: int = WIDTH, height: int = HEIGHT, **options: object
) -> Callable[[Path], None]:
    """Writes a photograph in a mode of Pillow's."""
    return lambda path: photo(width, height).convert(mode).save(path, **options)


def holding(data: bytes) -> Callable[[Path], None]:
    """Writes these bytes."""
    return lambda path: path.write_bytes(data) and None


def encoded(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    """The bytes of a photograph."""
    buffer = io.BytesIO()
    (image or photo()).save(buffer, format, **options)
    return buffer.getvalue()


def _frames(path: Path) -> None:
    more = [photo().rotate(angle) for angle in (90, 180)]
    photo().save(path, save_all=True, append_images=more)


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to look at it
    photo().save(path, exif=exif)


def _with_alpha(path: Path) -> None:
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path)


def _clear_palette(path: Path) -> None:
    photo().quantize(16).save(path, transparency=0)


def _deep_grey(path: Path) -> None:
    Image.fromarray((np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) * 37).astype(np.uint16)).save(
        path
    )


def _phone(path: Path) -> None:
    photo().save(path, "MPO", save_all=True, append_images=[photo(WIDTH // 2, HEIGHT // 2)])


def _bomb(path: Path) -> None:
    """A PNG of few bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _broken_exif(path: Path) -> None:
    photo().save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(60)))


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _unreadable(path: Path) -> None:
    photo().save(path)
    path.chmod(0)


_JPEG = encoded("JPEG", photo(200, 150), quality=95)
_PNG = encoded("PNG", photo(200, 150))

FAULTS = (
    # Colour modes and formats.
    Fault(name="plain.jpg", write=saved()),
    Fault(name="UPPER.JPG", write=saved()),
    Fault(name="alpha.png", write=_with_alpha, mode="RGBA"),
    Fault(name="grey-alpha.png", write=saved("LA"), mode="LA"),
    Fault(name="palette.png", write=lambda path: photo().quantize(16).save(path)),
    Fault(name="palette-clear.png", write=_clear_palette, mode="RGBA"),
    Fault(name="grey.jpg", write=saved("L"), mode="L"),
    Fault(name="grey16.png", write=_deep_grey, mode="I;16"),
    Fault(name="one-bit.png", write=saved("1"), mode="L"),
    Fault(name="cmyk.jpg", write=saved("CMYK"), mode="CMYK"),
    Fault(name="one-frame.gif", write=saved("P"), mode="P"),
    Fault(name="old.bmp", write=saved()),
    Fault(name="scan.tif", write=saved()),
    Fault(name="web.webp", write=saved()),
    Fault(name="lies.png", write=holding(encoded("JPEG"))),
    # What cameras and phones write.
    Fault(name="turned.jpg", write=_turned, size=(HEIGHT, WIDTH)),
    Fault(name="phone.jpg", write=_phone),
    Fault(name="broken-profile.jpg", write=saved(icc_profile=b"no profile at all")),
    Fault(name="broken-exif.jpg", write=_broken_exif),
    Fault(name="profile.png", write=saved(icc_profile=_profile())),
    # Sizes.
    Fault(name="dot.png", write=saved(width=1, height=1), size=(1, 1)),
    Fault(name="tower.png", write=saved(width=1, height=3000), size=(1, 3000)),
    Fault(name="panorama.jpg", write=saved(width=3000, height=1), size=(3000, 1)),
    # Names.
    Fault(name="Größe 日本.jpg", write=saved()),
    Fault(name="🌲❄️.png", write=saved()),
    Fault(name="two words.jpg", write=saved()),
    Fault(name="-o.jpg", write=saved()),
    Fault(name="two\nlines.png", write=saved()),
    Fault(name="[bold]{stem}*?.png", write=saved()),
    Fault(name=os.fsdecode(b"latin-\xe9.png"), write=saved()),
    Fault(name="n" * 250 + ".jpg", write=saved()),
    Fault(name="n" * 250 + ".png", write=saved()),
    Fault(name="🌲" * 62 + ".png", write=saved()),
    # Folders.
    Fault(name="deep/er/plain.jpg", write=saved()),
    Fault(name="folder.jpg/inside.jpg", write=saved()),
    Fault(name="real/link.jpg", write=_link("../plain.jpg")),
    Fault(name="around", write=_link("."), fate="left"),
    # What cannot be read.
    Fault(name="cut.jpg", write=holding(_JPEG[: len(_JPEG) // 2]), fate="told"),
    Fault(name="cut.png", write=holding(_PNG[: len(_PNG) // 2]), fate="told"),
    Fault(name="empty.jpg", write=lambda path: path.touch(), fate="told"),
    Fault(name="text.jpg", write=holding(b"This is no picture.\n"), fate="told"),
    Fault(name="noise.png", write=holding(bytes(range(256)) * 8), fate="told"),
    Fault(name="bomb.png", write=_bomb, fate="told", shows="large"),
    Fault(name="moving.gif", write=_frames, fate="told", shows="3 frames"),
    Fault(name="moving.webp", write=_frames, fate="told", shows="3 frames"),
    Fault(name="pages.tif", write=_frames, fate="told", shows="3 "),
    Fault(name="nowhere.jpg", write=_link("not there.jpg"), fate="told", shows="No such file"),
    Fault(name="itself.jpg", write=_link("itself.jpg"), fate="told"),
    # What is no picture of the person's.
    Fault(name=".hidden.jpg", write=saved(), fate="left"),
    Fault(name=".git/inside.jpg", write=saved(), fate="left"),
    Fault(name="._plain.jpg", write=holding(b"resource fork"), fate="left"),
    Fault(name="plain.edited.jpg", write=saved(), fate="left"),
    Fault(name="notes.txt", write=holding(b"notes"), fate="left"),
    Fault(name="Thumbs.db", write=holding(b"thumbs"), fate="left"),
    Fault(name="pipe.png", write=_pipe, fate="left"),
)

UNREADABLE = Fault(name="locked.jpg", write=_unreadable, fate="told", shows="Permission")
"""Binds everybody but root."""


def write_faults(folder: Path) -> tuple[Fault, ...]:
    """Write them all; those that this machine can have are given back."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    faults = FAULTS if root else (*FAULTS, UNREADABLE)
    for fault in faults:
        path = folder / fault.name
        path.parent.mkdir(parents=True, exist_ok=True)
        fault.write(path)
    return faults
