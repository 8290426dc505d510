"""Contact sheets: many pictures in one.

``write_contact_sheet`` shows what a run has made, each source with its results beside it, from the
files that lie on the disk: one page is held at a time. ``save_rows`` puts pictures at hand in rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from editar_cli import images
from editar_cli.errors import ImageError

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""Extension -> Pillow's name, of what a sheet can be written as."""

TILES = 400
"""Most pictures on a page, sources included."""
ACROSS = 9
"""Most pictures of a strip that stand side by side."""

# Long side of a tile in pixels, for up to so many tiles on a page.
_SIDES = ((6, 640), (16, 480), (48, 360), (120, 280), (TILES, 210))
_ASPECT = 1.5
"""Width by height that a page comes close to."""
_GAP = 4
_PAPER, _INK, _FAINT, _HOLE = "#ffffff", "#1c1c1e", "#76767b", "#ececee"
# Fonts with more signs than Pillow's own, where a system has one of them.
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msgothic.ttc", "DejaVuSans.ttf")
_GRID_GAP = 4


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A source and what was made of it.

    Args:
        source: the file, or ``None`` where there is none to show.
        name: what it is called.
        text: its instruction or caption; may be empty.
        results: files, in order.
    """

    source: Path | None
    name: str
    text: str
    results: tuple[Path, ...]

    @property
    def tiles(self) -> int:
        """How many pictures it shows."""
        return 1 + len(self.results)


def strips_of(records: Sequence[Mapping[str, object]]) -> list[Strip]:
    """Records of a run, one for each result, as strips; what has no file is left out.

    Args:
        records: ``input``, ``output``, ``status``, ``instruction`` or ``caption`` and, where a
            picture has several results, ``variation``.
    """
    strips: dict[object, Strip] = {}
    for number, record in enumerate(records):
        if record["status"] not in ("done", "skipped"):
            continue
        name = str(record["input"])
        text = str(record.get("instruction", record.get("caption", "")))
        # Results without a number are alone, even if the same picture is listed twice.
        key = (name, text) if "variation" in record else number
        before = strips.get(key)
        strips[key] = Strip(
            source=None if name == "-" else Path(name),
            name="standard input" if name == "-" else Path(name).name,
            text=text,
            results=(*(before.results if before else ()), Path(str(record["output"]))),
        )
    return list(strips.values())


def write_contact_sheet(
    path: Path,
    records: Sequence[Mapping[str, object]],
    *,
    facts: Sequence[str] = (),
    on_progress: Callable[[float, str], None] = lambda done, what: None,
) -> list[Path]:
    """Write the sheet of a run, in pages of at most ``TILES`` pictures.

    Args:
        path: the first page, .png or .jpg; further ones are ``<stem>-2`` and so on.
        records: as ``strips_of`` takes them.
        facts: said of the run in the heading, such as the model.
        on_progress: told how many results are in.

    Returns:
        the pages that were written; none where there is nothing to show.

    Raises:
        ImageError: the sheet cannot be written. A picture that cannot be read is a grey tile.
    """
    strips = strips_of(records)
    failed = sum(record["status"] == "failed" for record in records)
    pages = list(_pages(strips))
    texts = {strip.text for strip in strips}
    common = texts.pop() if len(texts) == 1 else ""
    shown = sum(len(strip.results) for strip in strips)
    written: list[Path] = []
    done = 0
    for number, page in enumerate(pages, 1):
        said = [_count(len(strips), "picture")]
        title = common or said.pop()
        if shown > len(strips):
            said.append(_count(shown, "result"))
        said += facts
        if failed:
            said.append(f"{failed} failed and not shown")
        if len(pages) > 1:
            said.append(f"page {number} of {len(pages)}")
        layout = _Layout(page, title=title, labelled=not common)

        def drawn(results: int) -> None:
            nonlocal done
            done += results
            on_progress(done, "drawing the sheet")

        sheet = layout.draw("   \N{MIDDLE DOT}   ".join(said), drawn)
        file = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        buffer = BytesIO()
        kind = FORMATS[path.suffix.lower()]
        sheet.save(buffer, kind, **({"quality": 92, "subsampling": 0} if kind == "JPEG" else {}))
        images.write_image(file, buffer.getvalue())
        written.append(file)
    return written


def save_rows(path: Path, rows: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    """Write rows of HWC uint8 RGB pictures, all of one size, to ``path``."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    size = columns * (width + _GRID_GAP), len(rows) * (height + _GRID_GAP)
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            place = x * (width + _GRID_GAP), y * (height + _GRID_GAP)
            sheet.paste(Image.fromarray(picture), place)
    sheet.save(path)


def _pages(strips: Sequence[Strip]) -> Iterator[list[Strip]]:
    page: list[Strip] = []
    tiles = 0
    for strip in strips:
        if page and tiles + strip.tiles > TILES:
            yield page
            page, tiles = [], 0
        page.append(strip)
        tiles += strip.tiles
    if page:
        yield page


class _Layout:
    """Where things stand on one page.

    Args:
        strips: at least one.
        title: the heading.
        labelled: each strip shows its own text.
    """

    def __init__(self, strips: Sequence[Strip], *, title: str, labelled: bool) -> None:
        self.strips = strips
        self.title = title
        self.labelled = labelled and any(strip.text for strip in strips)
        tiles = sum(strip.tiles for strip in strips)
        long = next(side for most, side in _SIDES if tiles <= most or most == TILES)
        aspect = min(max(median(_aspects(strips)), 0.6), 2.2)
        self.width = long if aspect >= 1 else round(long * aspect)
        self.height = round(long / aspect) if aspect >= 1 else long
        self.small = max(15, long // 24)
        self.large = max(26, long // 9)
        self.line = round(self.small * 1.45)
        self.labels = self.line * (2 if self.labelled else 1)
        self.across = max(min(strip.tiles, ACROSS) for strip in strips)
        self.down = max(-(-strip.tiles // ACROSS) for strip in strips)
        self.between = max(20, long // 12)
        self.strip_width = self.across * (self.width + _GAP) - _GAP
        self.row_height = self.height + self.line + _GAP
        self.strip_height = self.down * self.row_height - self.line + self.labels
        self.margin = max(32, long // 8)
        self.columns = self._columns()
        self.rows = -(-len(strips) // self.columns)

    def _columns(self) -> int:
        """As many strips side by side as make a page of a handy shape."""
        across, down = self.strip_width + self.between, self.strip_height + self.between

        def shape(columns: int) -> float:
            ratio = columns * across / (-(-len(self.strips) // columns) * down) / _ASPECT
            return max(ratio, 1 / ratio)

        return min(range(1, len(self.strips) + 1), key=shape)

    def draw(self, said: str, drawn: Callable[[int], None]) -> Image.Image:
        """The page, with ``said`` in its heading."""
        inner = self.columns * (self.strip_width + self.between) - self.between
        # Room for a heading over a single narrow strip.
        inner = max(inner, 520)
        large, small = _font(self.title, self.large), _font(said, self.small)
        lines = _wrapped(self.title, large, inner, 2)
        line = round(self.large * 1.25)
        top = self.margin + len(lines) * line + self.line + self.between
        down = self.strip_height + self.between
        size = (
            inner + 2 * self.margin,
            top + self.rows * down - self.between + self.margin,
        )
        sheet = Image.new("RGB", size, _PAPER)
        pen = ImageDraw.Draw(sheet)
        for number, words in enumerate(lines):
            pen.text((self.margin, self.margin + number * line), words, _INK, large, anchor="la")
        under = self.margin + len(lines) * line
        (said_line,) = _wrapped(said, small, inner, 1) or [""]
        pen.text((self.margin, under), said_line, _FAINT, small, anchor="la")
        for number, strip in enumerate(self.strips):
            row, column = divmod(number, self.columns)
            left = self.margin + column * (self.strip_width + self.between)
            self._strip(sheet, pen, strip, left, top + row * down)
            drawn(len(strip.results))
        return sheet

    def _strip(
        self, sheet: Image.Image, pen: ImageDraw.ImageDraw, strip: Strip, left: int, top: int
    ) -> None:
        for number, file in enumerate((strip.source, *strip.results)):
            row, column = divmod(number, ACROSS)
            place = left + column * (self.width + _GAP), top + row * self.row_height
            if file is not None:
                self._tile(sheet, file, place)
            name = strip.name if number == 0 or file is None else file.name
            self._label(pen, name, place, _INK if number == 0 else _FAINT)
        if self.labelled and strip.text:
            bottom = top + (-(-strip.tiles // ACROSS) - 1) * self.row_height + self.height
            place = left, bottom + self.line
            self._label(pen, strip.text, (place[0], place[1] - self.height), _INK, wide=True)

    def _tile(self, sheet: Image.Image, file: Path, place: tuple[int, int]) -> None:
        try:
            picture = Image.fromarray(images.thumbnail(file, (self.width, self.height)))
        except ImageError:
            picture = Image.new("RGB", (self.width, self.height), _HOLE)
        x = place[0] + (self.width - picture.width) // 2
        sheet.paste(picture, (x, place[1] + (self.height - picture.height) // 2))

    def _label(
        self,
        pen: ImageDraw.ImageDraw,
        text: str,
        place: tuple[int, int],
        colour: str,
        *,
        wide: bool = False,
    ) -> None:
        font = _font(text, self.small)
        room = self.strip_width if wide else self.width
        words = _wrapped(text, font, room, 1)
        if words:
            at = place[0], place[1] + self.height + round(self.line * 0.2)
            pen.text(at, words[0], colour, font, anchor="la")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _aspects(strips: Sequence[Strip]) -> list[float]:
    """Width by height of the results, of some where they are many."""
    files = [file for strip in strips for file in strip.results]
    found = []
    for file in files[:: max(1, len(files) // 50)]:
        try:
            width, height = images.glance(file).size
        except ImageError:
            continue
        found.append(width / height)
    return found or [1.0]


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or one of the system's for signs that it lacks."""
    if any(ord(sign) > 0x24F and sign not in "\N{HORIZONTAL ELLIPSIS}" for sign in text):
        for name in _WIDE_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
    return ImageFont.load_default(size)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int, most: int
) -> list[str]:
    """At most ``most`` lines that fit ``room`` pixels; what is left over ends in an ellipsis."""
    words = text.split()
    lines: list[str] = []
    while words and len(lines) < most:
        count = len(words)
        if len(lines) < most - 1:
            while count > 1 and font.getlength(" ".join(words[:count])) > room:
                count -= 1
        lines.append(_cut(" ".join(words[:count]), font, room))
        words = words[count:]
    return lines


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    if font.getlength(line) <= room:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(line[:middle].rstrip() + "...") <= room:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + "..."
