"""One page of before and after: ``--report`` and ``editar report``.

The page is one file that needs no network: it links to sources and outputs where they lie,
relative to itself. Copies that a browser can show are made beside it, for formats that it cannot
and for pictures too large to be looked through by the hundred.
"""

import base64
import hashlib
import html
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from editar_cli import __version__, images
from editar_cli.errors import EditarError, ImageError, UsageError

Record = Mapping[str, object]
"""What became of one picture, as in a line of ``--json``."""

FILES = ("input", "output", "map", "mask", "preview", "sheet")
"""Where a record has paths."""

STREAM = "-"
_LARGE = 4_000_000
"""Pixels from which on a picture is shown by a copy."""
_COPY_SIDE = 1600
_COPY_NAME = re.compile(r"[0-9a-f]{20}\.(jpg|webp)")
_STATUSES = ("done", "failed", "skipped", "planned")
_IN_CROP = {"crop": "cover", "pad": "contain", "stretch": "fill"}
"""How a source lies under an output of another shape, as CSS has it."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What stands above the pictures.

    Args:
        facts: model and settings, as a run's ``Maker`` has them.
        ended: when the run ended, or ``None`` where that is not known.
        seconds: how long it took, or ``None``.
        earlier: how many of the pictures were made before the run.
        note: a sentence on the run as a whole, such as that it was stopped.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    ended: datetime | None = None
    seconds: float | None = None
    earlier: int = 0
    note: str = ""


def write_report(
    path: Path,
    records: Iterable[Record],
    heading: Heading,
    *,
    base: Path = Path(),
    embed: bool = False,
    on_progress: Callable[[float, str], None] = lambda done, what: None,
) -> None:
    """Write the page, whole or not at all, and the copies that it needs to ``<stem>_files/``.

    Args:
        path: the page.
        records: one for each picture: ``input``, ``output``, ``status``, ``instruction`` or
            ``caption``, ``seed``, ``seconds``, ``error``, ``notes``, ``variation``, the further
            files ``map``, ``mask``, ``preview`` and ``sheet``, and what the output was chosen from:
            ``candidates``, ``scores`` and ``chosen``; all but ``input`` may be missing.
        heading: what stands above them.
        base: the folder that relative paths of the records start from.
        embed: put small copies of all pictures into the page itself, which can then be sent on
            alone, and write no folder.
        on_progress: told how many of the pictures are looked at.

    Raises:
        EditarError: the page cannot be written.
    """
    path = Path(os.path.abspath(path))
    ordered = _together(records)
    shelf = _Shelf(path, Path(os.path.abspath(base)), embed=embed)
    shelf.look_at(
        {str(record[name]) for record in ordered for name in FILES if record.get(name)}
        | {name for record in ordered for name in _candidates(record)},
        lambda done: on_progress(done * len(ordered), "writing the report"),
    )
    entries = _entries(ordered, shelf, heading)
    page = _page(entries, heading, [_status(record) for record in ordered])
    try:
        images.write_image(path, page.encode("utf-8", "replace"))
    except ImageError as error:
        raise EditarError(f"--report {error}") from error
    shelf.tidy()


def read_records(path: Path) -> list[Record]:
    """The records of a ``manifest.jsonl`` or of saved ``--json`` output; of each output the last.

    Raises:
        UsageError: it cannot be read or is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    found: dict[object, Record] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                # A run that was killed in the middle of a line.
                continue
            raise UsageError(f"{path}:{number}: is no line of JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get("input"), str):
            raise UsageError(f"{path}:{number}: is no record of a picture: it names no input")
        output = record.get("output")
        # Of a picture that was tried again the last word counts.
        key = number if output in (None, STREAM) else str(output)
        found.pop(key, None)
        found[key] = record
    return list(found.values())


def shared_settings(records: Iterable[Record]) -> dict[str, object]:
    """The settings that all records have in common, of those that name any."""
    settings = [record["settings"] for record in records if "settings" in record]
    if not settings or not isinstance(settings[0], Mapping):
        return {}
    return {
        str(name): value
        for name, value in settings[0].items()
        if all(isinstance(other, Mapping) and other.get(name) == value for other in settings)
    }


def _together(records: Iterable[Record]) -> list[Record]:
    """In order, but those of one source beside each other."""
    groups: dict[object, list[Record]] = {}
    for number, record in enumerate(records):
        name = record.get("input")
        groups.setdefault(number if name in (None, STREAM) else name, []).append(record)
    return [record for group in groups.values() for record in group]


def _status(record: Record) -> str:
    status = record.get("status")
    if status in _STATUSES:
        return str(status)
    return "failed" if record.get("error") else "done"


def _text(record: Record) -> str:
    return str(record.get("instruction") or record.get("caption") or "")


def _candidates(record: Record) -> list[str]:
    """Files that the output was chosen from."""
    names = record.get("candidates")
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


class _Shelf:
    """Where the pictures of a page are and how it shows them.

    Args:
        page: the page, absolute.
        base: where relative paths start from, absolute.
        embed: all pictures go into the page.
    """

    def __init__(self, page: Path, base: Path, *, embed: bool) -> None:
        self.page = page
        self.base = base
        self.embed = embed
        self.folder = page.with_name(f"{page.stem}_files")
        self._shown: dict[str, dict[str, object]] = {}
        self._used: set[str] = set()

    def look_at(self, names: Iterable[str], on_done: Callable[[float], None]) -> None:
        """Find out all about these files, and copy those that need it; told the part done."""
        found = sorted(name for name in names if name != STREAM)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            for number, (name, shown) in enumerate(
                zip(found, threads.map(self._look_at, found), strict=True), 1
            ):
                self._shown[name] = shown
                on_done(number / len(found))

    def picture(self, record: Record, name: str, label: str) -> dict[str, object] | None:
        """What the page knows of a record's picture, or ``None`` where it has none."""
        path = record.get(name)
        return self.file(str(path), label) if path and path != STREAM else None

    def file(self, name: str, label: str) -> dict[str, object]:
        """What the page knows of one of the files that were looked at."""
        return {"label": label, **self._shown[name]}

    def tidy(self) -> None:
        """Take away copies of ours that the page no longer shows."""
        if not self.folder.is_dir():
            return
        for file in self.folder.iterdir():
            if _COPY_NAME.fullmatch(file.name) and file.name not in self._used:
                file.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _look_at(self, name: str) -> dict[str, object]:
        path = self.base / name
        href = url_from(self.page.parent, path)
        try:
            seen = images.glance(path)
            shown: dict[str, object] = {"href": href, "w": seen.size[0], "h": seen.size[1]}
            if seen.alpha:
                shown["alpha"] = True
            large = seen.size[0] * seen.size[1] > _LARGE
            if self.embed:
                data, extension = images.small_copy(path, _COPY_SIDE)
                kind = {".jpg": "jpeg", ".webp": "webp"}[extension]
                shown["src"] = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
            elif seen.in_browsers and not large:
                shown["src"] = href
            else:
                shown["src"] = self._copy(path)
                if seen.in_browsers:
                    shown["full"] = href
        except ImageError as error:
            # A picture that cannot be read is one of the things a report is for.
            return {"href": href, "why": str(error)} if path.exists() else {"why": str(error)}
        return shown

    def _copy(self, path: Path) -> str:
        """The address of a copy, made unless it is there since the last report."""
        state = path.stat()
        place = os.path.relpath(path, self.base)
        sign = f"{place}\0{state.st_mtime_ns}\0{state.st_size}".encode("utf-8", "surrogatepass")
        stem = hashlib.sha256(sign).hexdigest()[:20]
        for extension in (".jpg", ".webp"):
            if (self.folder / f"{stem}{extension}").exists():
                break
        else:
            data, extension = images.small_copy(path, _COPY_SIDE)
            images.write_image(self.folder / f"{stem}{extension}", data)
        self._used.add(f"{stem}{extension}")
        return url_from(self.page.parent, self.folder / f"{stem}{extension}")


def url_from(folder: Path, target: Path) -> str:
    """A link from a page in ``folder`` to a file: relative where there is a way, else absolute.

    Args:
        folder: absolute.
        target: absolute.
    """
    try:
        relative = os.path.relpath(target, folder)
    except ValueError:
        # Another drive.
        return target.as_uri()
    # Bytes, for names that are no Unicode; "\" is a sign like any other where it parts no names.
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def _entries(records: Sequence[Record], shelf: _Shelf, heading: Heading) -> list[dict[str, object]]:
    shared = _shared_folder(records)
    counts = Counter(str(record.get("input")) for record in records)
    groups = {name: number for number, name in enumerate(counts)}
    # All variations of a picture have one map, which the first of them brings.
    maps = {record.get("input"): record["map"] for record in records if record.get("map")}
    nth: Counter[str] = Counter()
    entries = []
    for record in records:
        name = str(record.get("input"))
        nth[name] += 1
        if "variation" in record and record.get("input") in maps:
            record = {"map": maps[record.get("input")], **record}
        entry = _entry(record, shelf, heading)
        entry["name"] = _short(name, shared)
        entry["group"] = groups[name]
        entry["nth"] = nth[name]
        entry["of"] = 1 if name == STREAM else counts[name]
        entries.append(entry)
    return entries


def _shared_folder(records: Sequence[Record]) -> str:
    """What all inputs' paths begin with, to be left out of their names."""
    folders = {os.path.dirname(str(record.get("input"))) for record in records}
    folders -= {""} if len(folders) == 1 else set()
    if not folders or len({os.path.isabs(folder) for folder in folders}) > 1:
        return ""
    return os.path.commonpath(folders)


def _short(name: str, shared: str) -> str:
    if name == STREAM:
        return "standard input"
    return os.path.relpath(name, shared) if shared else name


def _entry(record: Record, shelf: _Shelf, heading: Heading) -> dict[str, object]:
    source = shelf.picture(record, "input", "Before")
    output = shelf.picture(record, "output", "After")
    status = _status(record)
    why = ""
    if source is not None and record.get("output") == record.get("input"):
        # The old picture is gone once the new one stands in its place.
        source, why = (source, "") if status == "failed" else (None, "Edited in place.")
    if status in ("failed", "planned"):
        # What stands there, if anything, is not the result of this run.
        output = None
    elif output is None:
        why = "The result went to standard output."
    elif source is None and not why:
        why = "The source came from standard input."
    befores = [source] if source is not None else []
    for name, label in (("map", "Map"), ("mask", "Mask")):
        picture = shelf.picture(record, name, label)
        if picture is not None and "src" in picture:
            befores.append(picture)
    more = [shelf.picture(record, "preview", "Preview"), shelf.picture(record, "sheet", "Sheet")]
    for picture in (source, output):
        if picture is not None and "why" in picture and status != "failed":
            why = why or str(picture["why"])
    notes, seed, seconds = record.get("notes"), record.get("seed"), record.get("seconds")
    pictures = [picture for picture in (*befores, output) if picture is not None]
    return {
        "path": str(record.get("input")),
        "status": status,
        "text": _text(record),
        # JavaScript's numbers have 53 bits, seeds 64.
        "seed": "" if seed is None else str(seed),
        "seconds": seconds if isinstance(seconds, int | float) else None,
        "error": str(record.get("error") or ""),
        "notes": [str(note) for note in notes] if isinstance(notes, list | tuple) else [],
        "why": why,
        "befores": befores,
        "after": output,
        "more": [picture for picture in more if picture is not None],
        "candidates": _chosen_from(record, shelf) if output is not None else [],
        "alpha": any("alpha" in picture for picture in pictures),
        "fit": _lies(source, output, record, heading),
    }


def _chosen_from(record: Record, shelf: _Shelf) -> list[dict[str, object]]:
    """Candidates that are still there, with their scores; the one that was chosen is marked."""
    scores = record.get("scores")
    found = []
    for number, name in enumerate(_candidates(record), 1):
        picture = shelf.file(name, f"Candidate {number}")
        if "src" not in picture:
            continue
        if isinstance(scores, list | tuple) and len(scores) >= number:
            picture["score"] = scores[number - 1]
        if number == record.get("chosen"):
            picture["chosen"] = True
        found.append(picture)
    return found


def _lies(
    source: Mapping[str, object] | None,
    output: Mapping[str, object] | None,
    record: Record,
    heading: Heading,
) -> str:
    """How the source lies under the output, as CSS's object-fit has it."""
    sizes = [(picture or {}).get(side) for picture in (source, output) for side in ("w", "h")]
    width, height, out_width, out_height = (s if isinstance(s, int) else 0 for s in sizes)
    # As good as the same shape: one pixel of rounding at most.
    if abs(width * out_height - height * out_width) <= max(width, height, out_width, out_height):
        return "fill"
    settings = record.get("settings")
    facts = settings if isinstance(settings, Mapping) else heading.facts
    return _IN_CROP.get(str(facts.get("fit")), "cover")


def _page(
    entries: Sequence[Mapping[str, object]], heading: Heading, statuses: Sequence[str]
) -> str:
    folder = resources.files("editar_cli") / "_page"
    template, style, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    )
    # Nothing but what is written here may run or be loaded.
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file: data:; "
        f"style-src '{_sha256(style)}'; script-src '{_sha256(script)}'"
    )
    data = json.dumps({"pictures": entries}, separators=(",", ":"))
    # "</script>" and "<!--" would end the data early.
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    texts = {str(entry["text"]) for entry in entries}
    translated = "mode" in heading.facts
    said = texts.pop() if len(texts) == 1 else ""
    title = f"\u201c{said}\u201d" if said else ""
    note = f'<p class="note">{html.escape(heading.note)}</p>' if heading.note else ""
    parts = {
        "version": html.escape(__version__),
        "title": html.escape(title or ("Translated pictures" if translated else "Edited pictures")),
        "policy": policy,
        "style": style,
        "script": script,
        "data": data,
        "facts": "".join(f"<span>{html.escape(fact)}</span>" for fact in _facts(heading, statuses)),
        "note": note,
        "settings": _settings(heading.facts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _facts(heading: Heading, statuses: Sequence[str]) -> list[str]:
    count = len(statuses)
    facts = [f"{count:,} picture{'' if count == 1 else 's'}"]
    facts += [
        f"{statuses.count(status):,} {status}"
        for status in _STATUSES
        if status != "done" and status in statuses
    ]
    facts += [f"{heading.earlier:,} made earlier"] if heading.earlier else []
    mode, model = heading.facts.get("mode"), heading.facts.get("model")
    facts += [str(mode)] if mode else []
    facts += [f"model {model}"] if model else []
    if heading.ended is not None:
        facts.append(f"{heading.ended.day} {heading.ended:%B %Y, %H:%M}")
    if heading.seconds is not None:
        facts.append(_duration(heading.seconds))
    return facts


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole or 1} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _settings(facts: Mapping[str, object]) -> str:
    rows = []
    for name, value in facts.items():
        said = "on" if value is True else str(value)
        said = "off" if value is None or value is False else said
        label = html.escape(name.replace("_", " "))
        rows.append(f"<div><dt>{label}</dt><dd>{html.escape(said)}</dd></div>")
    if not rows:
        return ""
    return (
        f'<details class="settings"><summary>Settings</summary><dl>{"".join(rows)}</dl></details>'
    )
