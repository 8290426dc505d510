"""Where other programs put their pictures: published folder layouts, as data.

A pattern is a path below the folder, without its extension, with one field in it:

=============  =====================================================================
``{path}``     the picture's path in the data set, without its extension
``{name}``     the last part of that path
``{key}``      its name in the data set
``{number}``   its row in the data set, from 0
``{serial}``   five digits that count all pictures of a run, several for each row
``{id}``       a name that ``anno.txt`` in the folder gives the row of the same number
=============  =====================================================================

``*`` stands for anything but ``/``; a picture may then have several outputs, and its figures are
their means.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from editar_cli import images
from editar_cli.errors import ImageError, UsageError

Kind = Literal["edits", "maps"]

ANNOTATIONS = "anno.txt"

_FIELDS = {
    "path": ".+",
    "name": "[^/]+",
    "key": "[^/]+",
    "number": r"\d+",
    "serial": r"\d{5}",
    "id": ".+",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What an output is named after.

    Args:
        key: the picture's name in the data set.
        path: its path there, with ``/`` and its extension.
        number: its row, from 0.
    """

    key: str
    path: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to lay out results.

    Args:
        name: what ``--layout`` takes.
        about: whose it is, for people.
        kinds: of results it is used for.
        patterns: where the output of a picture is; the first that fits counts.
        mark: a glob that no other layout has; "" for one that has no mark.
    """

    name: str
    about: str
    kinds: frozenset[Kind]
    patterns: tuple[str, ...]
    mark: str = ""


LAYOUTS = (
    Layout(
        name="pnpinversion",
        about="PnPInversion's run_editing_*.py, the folder output/METHOD",
        kinds=frozenset({"edits"}),
        patterns=("annotation_images/{path}",),
        mark="annotation_images",
    ),
    Layout(
        name="instruct-pix2pix",
        about="InstructPix2Pix by PnPInversion's run_editing_instructpix2pix.py, the folder output",
        kinds=frozenset({"edits"}),
        patterns=("instruct-pix2pix/annotation_images/{path}",),
        mark="instruct-pix2pix/annotation_images",
    ),
    Layout(
        name="mgie",
        about="MGIE's demo.py, the folder _output",
        kinds=frozenset({"edits"}),
        patterns=("{name}-out", "{number}-out"),
        mark="*-out.*",
    ),
    Layout(
        name="controlnet++",
        about="ControlNet++'s eval.py, the folder with images/group_0 and its like",
        kinds=frozenset({"maps"}),
        patterns=("images/group_*/{number}",),
        mark="images/group_*",
    ),
    Layout(
        name="unicontrol",
        about="UniControl's inference_demo.py, the folder scaleN/TASK",
        kinds=frozenset({"maps"}),
        patterns=("samples/*-{serial}",),
        mark="samples/*-control.png",
    ),
    Layout(
        name="uni-controlnet",
        about="Uni-ControlNet's data folder: anno.txt, a name and a caption a line, and images",
        kinds=frozenset({"maps"}),
        patterns=("images/{id}",),
        mark=ANNOTATIONS,
    ),
    Layout(
        name="plain",
        about="pictures named as in the data set",
        kinds=frozenset({"edits", "maps"}),
        patterns=("{path}", "{name}", "{key}", "{number}"),
    ),
)
"""All layouts; the last is what a folder without a mark is taken for."""


def layout_names(kind: Kind) -> list[str]:
    """What ``--layout`` takes for one kind of results."""
    return [layout.name for layout in LAYOUTS if kind in layout.kinds]


def choose_layout(folder: Path, kind: Kind, name: str | None = None) -> Layout:
    """The layout of that name, or the one whose mark the folder has.

    Raises:
        UsageError: there is no such layout or no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"--score-only {folder}: no such folder")
    known = {layout.name: layout for layout in LAYOUTS if kind in layout.kinds}
    if name is None:
        marked = (one for one in known.values() if one.mark and any(folder.glob(one.mark)))
        return next(marked, known["plain"])
    if name not in known:
        raise UsageError(f"--layout {name}: must be one of {', '.join(known)}")
    return known[name]


class Outputs:
    """The pictures that a program left, by what they were made of.

    Args:
        folder: theirs.
        layout: how they are laid out.
        cases: all pictures of the data set, in order.

    Raises:
        UsageError: there is not one output for any of them, or their number fits no row.
    """

    def __init__(self, folder: Path, layout: Layout, cases: Sequence[Case]) -> None:
        self.folder = folder
        self.layout = layout
        files = sorted(
            file for file in folder.rglob("*") if images.is_picture_name(file) and file.is_file()
        )
        by_stem: dict[str, list[Path]] = {}
        for file in files:
            stem = file.relative_to(folder).with_suffix("").as_posix()
            by_stem.setdefault(stem, []).append(file)
        self._values = _values(folder, layout, cases)
        self._found = [_Pattern(text, by_stem, len(cases), folder) for text in layout.patterns]
        if not any(self._of(case) for case in cases):
            raise UsageError(self._nothing(cases, files))

    def find(self, case: Case) -> tuple[Path, ...]:
        """The outputs of a picture, one or more.

        Raises:
            ImageError: there is none.
        """
        if found := self._of(case):
            return found
        raise ImageError(f"{self.folder}: holds no output for {case.path}")

    def _of(self, case: Case) -> tuple[Path, ...]:
        for pattern in self._found:
            value = self._values[pattern.field].get(case.number)
            if value is not None and (found := pattern.found.get(value)):
                if pattern.several:
                    return tuple(found)
                # The same name with several extensions: the source's own first.
                order = (Path(case.path).suffix, ".png", ".jpg", ".jpeg", ".webp")
                ranks = {suffix: rank for rank, suffix in reversed(list(enumerate(order)))}
                return (min(found, key=lambda file: ranks.get(file.suffix, len(order))),)
        return ()

    def _nothing(self, cases: Sequence[Case], files: Sequence[Path]) -> str:
        first = cases[0]
        pattern = self._found[0]
        value = self._values[pattern.field].get(first.number, "?")
        looked = pattern.text.replace(f"{{{pattern.field}}}", value)
        there = ", ".join(file.relative_to(self.folder).as_posix() for file in files[:3])
        kinds = self.layout.kinds
        others = ", ".join(
            one.name for one in LAYOUTS if one is not self.layout and one.kinds & kinds
        )
        return (
            f"{self.folder}: holds no output for any of the {len(cases)} pictures. As layout "
            f"{self.layout.name} ({self.layout.about}) the first would be {looked}.png; "
            f"there {'is ' + there if there else 'are no pictures'}. --layout names another: "
            f"{others}"
        )


class _Pattern:
    """A pattern, and what of a folder fits it, by the value of its field."""

    def __init__(
        self, text: str, by_stem: Mapping[str, Sequence[Path]], cases: int, folder: Path
    ) -> None:
        self.text = text
        (self.field,) = re.findall(r"\{(\w+)\}", text)
        self.several = "*" in text
        before, after = text.split(f"{{{self.field}}}")
        expression = re.compile(
            f"{_escaped(before)}(?P<value>{_FIELDS[self.field]}){_escaped(after)}", re.DOTALL
        )
        self.found: dict[str, list[Path]] = {}
        for stem, files in by_stem.items():
            if match := expression.fullmatch(stem):
                self.found.setdefault(match["value"], []).extend(files)
        if self.field == "serial" and self.found:
            each, rest = divmod(len(self.found), cases)
            if rest:
                raise UsageError(
                    f"{folder}: {len(self.found)} pictures are no whole number for each of the "
                    f"{cases} of the data set; the run behind them was not finished"
                )
            by_row: dict[str, list[Path]] = {}
            for serial in sorted(self.found):
                by_row.setdefault(str(int(serial) // each), []).extend(self.found[serial])
            self.found = by_row


def _escaped(text: str) -> str:
    return "[^/]*".join(re.escape(part) for part in text.split("*"))


def _values(folder: Path, layout: Layout, cases: Sequence[Case]) -> dict[str, dict[int, str]]:
    """What each field stands for, by the number of the case."""
    found: dict[str, dict[int, str]] = {
        "path": {case.number: _without_suffix(case.path) for case in cases},
        "name": {case.number: _without_suffix(case.path).rpartition("/")[2] for case in cases},
        "key": {case.number: case.key for case in cases},
        "number": {case.number: str(case.number) for case in cases},
        "serial": {case.number: str(case.number) for case in cases},
    }
    if any("{id}" in pattern for pattern in layout.patterns):
        found["id"] = _annotated(folder / ANNOTATIONS)
    return found


def _without_suffix(path: str) -> str:
    return Path(path).with_suffix("").as_posix() if images.is_picture_name(Path(path)) else path


def _annotated(file: Path) -> dict[int, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read: {error}") from error
    words = (line.split(maxsplit=1) for line in lines if line.strip())
    return {number: _without_suffix(word[0]) for number, word in enumerate(words)}
