"""Which pictures the words of a command line mean: files, folders, globs and lists.

Names only are touched; nothing is decoded.
"""

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from editar_cli import images
from editar_cli.errors import UsageError
from editar_cli.lists import STREAM, Row

_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True)
class Found:
    """An input file; ``root`` is the folder given on the command line that it was found in.

    ``row`` is the line of a list that names it.
    """

    path: Path | None
    key: str
    root: Path | None = None
    row: Row | None = None


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sorts ``photo2`` before ``photo10``."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p]


def split_positionals(
    items: Sequence[str], instruction: str | None, rows: Sequence[Row] = ()
) -> tuple[list[str], str | None]:
    """Inputs and instruction: the last item is the instruction unless a flag or a list gives it.

    Args:
        items: the words of the command line.
        instruction: given by a flag; all words are then inputs.
        rows: lines of a list of pictures.

    Raises:
        UsageError: either is missing.
    """
    inputs = list(items)
    if instruction is None and not (rows and all(row.text is not None for row in rows)):
        if not inputs:
            asked = "no instruction" if rows else "no picture and no instruction"
            raise UsageError(f'{asked}: editar edit in.jpg "make it snowy"')
        if inputs[-1] == STREAM or os.path.exists(inputs[-1]):
            raise UsageError(
                f"no instruction: the last word, {inputs[-1]}, is an input. "
                f'Try: editar edit {inputs[-1]} "make it snowy"'
            )
        instruction = inputs.pop()
    if instruction is not None and not instruction.strip():
        raise UsageError("the instruction is empty")
    if not inputs and not rows:
        raise UsageError(
            f'no picture to edit: "{instruction}" was taken as the instruction. '
            f'Try: editar edit in.jpg "make it snowy"'
        )
    return inputs, instruction


def split_caption(
    items: Sequence[str], caption: str | None, *, other_inputs: bool = False
) -> tuple[list[str], str | None]:
    """Inputs and caption: the last item is the caption if it can be nothing else.

    Args:
        items: the words of the command line.
        caption: given by a flag; all words are then inputs.
        other_inputs: there are inputs beside the words, such as a list of them.

    Returns:
        inputs, and the caption or ``None`` where none was given.
    """
    inputs = list(items)
    if caption is None and inputs:
        last = inputs[-1]
        path = last == STREAM or os.path.lexists(last) or not _GLOB_SIGNS.isdisjoint(last)
        # A picture or folder that is not there is a slip, not a caption.
        path = path or last.endswith(("/", os.sep)) or Path(last).suffix.lower() in images.FORMATS
        if not path and (other_inputs or len(inputs) > 1):
            caption = inputs.pop()
    return inputs, caption


def is_glob(text: str) -> bool:
    """Whether a word is a pattern, and not the name of something that is there."""
    return text != STREAM and not os.path.lexists(text) and not _GLOB_SIGNS.isdisjoint(text)


def find_pictures(
    inputs: Sequence[str],
    rows: Sequence[Row],
    *,
    recursive: bool,
    leave_out: Sequence[Path],
    own_tags: Sequence[str],
    is_sheet: Callable[[Path], bool],
    in_place: bool,
    may_be_empty: bool,
) -> list[Found]:
    """The pictures that words and lists name, each once, in order.

    Args:
        inputs: files, folders, globs and ``-``.
        rows: lines of lists.
        recursive: go into the folders of folders.
        leave_out: folders and files that hold no inputs.
        own_tags: files and folders named ``*.<tag>`` are outputs of ours and not taken from
            folders.
        is_sheet: tells contact sheets of ours.
        in_place: a picture and a link to it are one.
        may_be_empty: folders may hold no pictures.

    Raises:
        UsageError: something is not there, cannot be listed or holds no pictures.
    """
    # A picture may stand in a list several times, with other words each time; the same picture by
    # two ways on the command line is one.
    found: dict[object, Found] = {
        number: Found(row.image, row.key, row=row) for number, row in enumerate(rows)
    }
    for text in inputs:
        if text == STREAM:
            found[None] = Found(None, STREAM)
            continue
        matches = [text]
        if is_glob(text):
            matches = sorted(glob.glob(text, recursive=True), key=natural_key)
            if not matches and not may_be_empty:
                raise UsageError(f"{text}: matches no file")
        for match in matches:
            path = Path(match)
            if os.path.isdir(path):
                items = list(_walk(path, recursive, leave_out, own_tags))
                items = [item for item in items if item.path and not is_sheet(item.path)]
                if not items and not is_glob(text) and not may_be_empty:
                    hint = "" if recursive else "; -r goes into its folders"
                    raise UsageError(f"{match}: holds no pictures{hint}")
            elif os.path.exists(path):
                items = [Found(path, path.name)]
            else:
                raise UsageError(
                    f"{match}: no such file or folder "
                    "(an instruction of several words needs quotes)"
                )
            for item in items:
                assert item.path is not None
                found.setdefault(_identity(item.path, in_place=in_place), item)
    if not found and not may_be_empty:
        raise UsageError(f"{' '.join(inputs)}: no pictures found")
    return list(found.values())


def _walk(
    root: Path, recursive: bool, leave_out: Sequence[Path], own_tags: Sequence[str]
) -> Iterator[Found]:
    """Pictures in a folder in natural order, our own outputs and masks left out."""
    # Outputs among the inputs: told apart by their names, and collisions are refused.
    others = {os.path.realpath(path) for path in leave_out} - {os.path.realpath(root)}
    ours = re.compile(rf".*\.({'|'.join(map(re.escape, own_tags))})(-\d+)?", re.DOTALL)

    def walk(folder: Path) -> Iterator[Found]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: natural_key(entry.name))
        except OSError as error:
            raise UsageError(f"{folder}: cannot be listed: {error.strerror}") from error
        for entry in entries:
            name = Path(entry.name)
            if entry.name.startswith(".") or ours.fullmatch(name.stem):
                continue
            if images.is_picture_name(name) and _is_a_file(entry):
                path = Path(entry.path)
                if os.path.realpath(path) in others:
                    continue
                yield Found(path, path.relative_to(root).as_posix(), root)
        names = {entry.name for entry in entries}
        for entry in entries:
            skip = entry.name.startswith(".") or ours.fullmatch(entry.name) is not None
            # The pictures of a page, such as a report of ours, are named so by browsers, too.
            stem = entry.name.removesuffix("_files")
            skip = skip or (stem != entry.name and f"{stem}.html" in names)
            if recursive and not skip and entry.is_dir(follow_symlinks=False):
                path = Path(entry.path)
                if os.path.realpath(path) not in others:
                    yield from walk(path)

    yield from walk(root)


def _identity(path: Path, *, in_place: bool) -> str:
    """Equal for two names of one picture; a link is a picture of its own unless it is replaced."""
    if in_place:
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(path.parent), path.name)


def _is_a_file(entry: os.DirEntry[str]) -> bool:
    """Whether a picture may be read here, or there is a link that leads nowhere: that is told."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True
