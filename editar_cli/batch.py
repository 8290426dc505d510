"""From the command line's words to a plan: which pictures, and where their results go.

Names only are touched; nothing is decoded and no model loaded before the plan stands.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from editar_cli import images
from editar_cli.discovery import Found, find_pictures, is_glob
from editar_cli.errors import UsageError
from editar_cli.ledger import Ledger, Verdict
from editar_cli.lists import STREAM, Row

Ready = Callable[[Sequence[Path]], Collection[Path]]
"""Is told which pictures there are and says which are to be planned now."""

_NAME_FIELDS = ("stem", "ext", "seed", "variation")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where outputs go and what they are called.

    Args:
        output: a file, a folder, ``-`` or ``None`` for beside the input.
        name: pattern over ``{stem}``, ``{ext}``, ``{seed}`` and ``{variation}``, or ``None``.
        format: ``auto`` or an extension without its dot.
        seed: what ``{seed}`` stands for.
        in_place: outputs replace their inputs.
        on_exists: what to do with outputs that are already there.
        tag: marks outputs beside their inputs: ``in.jpg`` becomes ``in.<tag>.jpg``.
        maps: folder for condition maps, or ``None``.
        preview: write ``<output>.preview.<ext>`` beside each output.
        variations: results per picture; their names differ where there are several.
        candidates: folder for what each result is chosen from, or ``None``.
        best_of: how many those are.
        sheet: contact sheet of the run, or ``None``; neither it nor its further pages are inputs.

    Raises:
        UsageError: two of these contradict each other.
    """

    output: str | None = None
    name: str | None = None
    format: str = "auto"
    seed: int = 0
    in_place: bool = False
    on_exists: Literal["skip", "overwrite", "error"] = "skip"
    tag: str = "edited"
    maps: Path | None = None
    preview: bool = False
    variations: int = 1
    candidates: Path | None = None
    best_of: int = 1
    sheet: Path | None = None

    def __post_init__(self) -> None:
        assert self.variations >= 1, self.variations
        if self.sheet is not None:
            if self.in_place:
                raise UsageError("--sheet and --in-place: no source is left to show beside it")
            if self.output == STREAM:
                raise UsageError("--sheet and -o -: a sheet shows files; give -o FILE")
        if self.variations > 1:
            if self.in_place:
                raise UsageError("--in-place and --variations: a picture is replaced by one result")
            if self.output == STREAM:
                raise UsageError("--variations and -o -: standard output holds one picture")
            if self.name is not None and self._names_are_equal():
                raise UsageError(
                    f"--name {self.name}: gives all variations one name; put {{variation}} into it"
                )
        if self.in_place:
            for flag, value in (("--output", self.output), ("--name", self.name)):
                if value is not None:
                    raise UsageError(f"--in-place and {flag}: give one of them")
            if self.format != "auto":
                raise UsageError("--in-place keeps the format: leave --format out")
        if self.preview and self.output == STREAM:
            raise UsageError("--preview and -o -: a preview needs an output with a name")
        if self.name is not None:
            if self.output == STREAM:
                raise UsageError("--name and -o -: standard output has no name")
            self._format_name("stem", ".png", 0)

    def file_name(self, stem: str, extension: str, variation: int = 0) -> str:
        """The output's name for an input's stem and extension; ``variation`` counts from 0.

        Raises:
            UsageError: the pattern's result is no file name.
        """
        if self.format != "auto":
            extension = f".{self.format}"
        return self._format_name(stem, extension, variation)

    def numbered(self, file: Path, variation: int) -> Path:
        """A file that was named for all variations of a picture, with the number of one of them."""
        if self.variations == 1:
            return file
        return file.with_name(f"{file.stem}-{variation + 1}{file.suffix}")

    def is_sheet(self, file: Path) -> bool:
        """Whether a file is a page of the run's contact sheet."""
        if self.sheet is None or file.suffix != self.sheet.suffix:
            return False
        stem = re.sub(r"-\d+$", "", file.stem) if file.stem != self.sheet.stem else file.stem
        folders = (os.path.realpath(path.parent) for path in (file, self.sheet))
        return stem == self.sheet.stem and len(set(folders)) == 1

    def _names_are_equal(self) -> bool:
        return self._format_name("stem", ".png", 0) == self._format_name("stem", ".png", 1)

    def _format_name(self, stem: str, extension: str, variation: int) -> str:
        pattern = "{stem}{ext}" if self.name is None else self.name
        if self.name is None and self.variations > 1:
            pattern = "{stem}-{variation}{ext}"
        try:
            name = pattern.format(stem=stem, ext=extension, seed=self.seed, variation=variation + 1)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            fields = ", ".join(f"{{{field}}}" for field in _NAME_FIELDS)
            raise UsageError(f"--name {pattern}: may hold {fields} and plain text") from error
        if not name or name in (".", "..") or "/" in name or os.sep in name:
            raise UsageError(f"--name {pattern}: gives {name!r}, which is no file name")
        return name


@dataclass(frozen=True, kw_only=True)
class Job:
    """One result to make of one picture.

    Args:
        source: the input, or ``None`` for standard input.
        output: the result, or ``None`` for standard output.
        key: the input's path below the folder it was found in, with ``/``: its own seed is
            derived from this, so that it is the same wherever the folder lies.
        instruction: what to do with it, or its caption.
        asked: which of the two it is: the name it has in lines of JSON.
        seed: a seed of its own instead of the run's, or ``None``.
        beside: further pictures to write, by what they show: "map", "preview".
        candidates: where what the result is chosen from is kept, in order; empty for nowhere.
        mask: a picture that is white where this one may change, or ``None``.
        home: the folder of results that the output is in, which has a manifest; ``None`` for an
            output beside its input.
        variation: which of the picture's results this is, from 0.
        variations: how many there are.
    """

    source: Path | None
    output: Path | None
    key: str
    instruction: str
    asked: Literal["instruction", "caption"] = "instruction"
    seed: int | None = None
    beside: Mapping[str, Path] = field(default_factory=dict)
    candidates: tuple[Path, ...] = ()
    mask: Path | None = None
    home: Path | None = None
    variation: int = 0
    variations: int = 1

    @property
    def writes(self) -> list[Path]:
        """All files that it makes."""
        outputs = [] if self.output is None else [self.output]
        return [*outputs, *self.beside.values(), *self.candidates]

    @property
    def seed_key(self) -> str:
        """What the seed of this result is derived from; the first has that of a picture alone."""
        return f"{self.key}#{self.variation}" if self.variation else self.key

    def is_variation_of(self, other: "Job") -> bool:
        """Whether the two differ in nothing but the seed and the files that they write."""
        same = replace(
            other,
            variation=self.variation,
            output=self.output,
            beside=self.beside,
            candidates=self.candidates,
        )
        return self == same

    @property
    def source_name(self) -> str:
        """The input for messages."""
        return STREAM if self.source is None else str(self.source)

    @property
    def output_name(self) -> str:
        """The output for messages."""
        return STREAM if self.output is None else str(self.output)

    def record(self, status: str, **more: object) -> dict[str, object]:
        """What is told of this picture: in lines of JSON, in the manifest and in the report."""
        return {
            "input": self.source_name,
            "output": self.output_name,
            "status": status,
            self.asked: self.instruction,
            **({} if self.mask is None else {"mask": str(self.mask)}),
            **({"variation": self.variation + 1} if self.variations > 1 else {}),
            **{name: str(path) for name, path in self.beside.items()},
            **({"candidates": [str(path) for path in self.candidates]} if self.candidates else {}),
            **more,
        }

    def to_json(self, status: str) -> str:
        """One line of JSON about this picture."""
        return json_line(self.record(status))


def json_line(record: Mapping[str, object]) -> str:
    """A record as a line of JSON, in UTF-8 whatever names hold."""
    text = json.dumps(record, ensure_ascii=False)
    # A byte of a name that is no UTF-8 becomes the escape that JSON has for it.
    return text.encode(errors="backslashreplace").decode()


@dataclass(kw_only=True)
class Plan:
    """What a run is going to do.

    Args:
        jobs: pictures to edit, in order.
        skipped: pictures whose output is already there.
        again: of ``jobs``, those whose output is there and will be replaced though nobody asked
            for it, by the reason.
        strange: of ``skipped``, those whose output is another picture's.
        elsewhere: how many are other shards'.
        folders: folders made for outputs without the person having named them.
        captioned: how many have their caption from a text file beside them.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    again: dict[Verdict, list[Job]] = field(default_factory=dict)
    strange: list[Job] = field(default_factory=list)
    elsewhere: int = 0
    folders: list[Path] = field(default_factory=list)
    captioned: int = 0

    def add(self, other: "Plan") -> bool:
        """Take in all of another plan, unless both would write one file; whether it was."""
        targets = set(map(_target, self._writes()))
        if any(_target(file) in targets for file in other._writes()):
            return False
        self.jobs += other.jobs
        self.skipped += other.skipped
        for verdict, jobs in other.again.items():
            self.again.setdefault(verdict, []).extend(jobs)
        self.strange += other.strange
        self.elsewhere += other.elsewhere
        self.folders += [folder for folder in other.folders if folder not in self.folders]
        self.captioned += other.captioned
        return True

    def _writes(self) -> Iterator[Path]:
        return (file for job in self.jobs for file in job.writes)


def unwritable(file: Path) -> str | None:
    """Why ``file`` cannot be written, as far as its folders tell; ``None`` where they allow it."""
    folder = Path(os.path.realpath(file)).parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is a file, not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder}/ cannot be written to"
    return None


def refuse_unwritable(plan: Plan) -> None:
    """Before a model loads: can results be written at all?

    Where some can, the others fail one by one.

    Raises:
        UsageError: not one result could be written; says why.
    """
    reasons: dict[Path, str | None] = {}
    first = None
    for job in plan.jobs:
        files = [] if job.output is None else [job.output]
        for file in (*files, *job.beside.values()):
            if file.parent not in reasons:
                reasons[file.parent] = unwritable(file)
            if (reason := reasons[file.parent]) is not None:
                first = first or f"{file}: could not be written: {reason}"
                break
        else:
            return
    if first is not None:
        raise UsageError(f"{first}; -o names another place")


def plan_jobs(
    inputs: Sequence[str],
    instruction: str | None,
    placement: Placement,
    *,
    recursive: bool = False,
    rows: Sequence[Row] = (),
    asked: Literal["instruction", "caption"] = "instruction",
    caption_files: bool = False,
    own_tags: Sequence[str] = ("edited",),
    masks: Path | None = None,
    ledger: Ledger | None = None,
    shard: tuple[int, int] = (1, 1),
    ready: Ready | None = None,
) -> Plan:
    """Find the inputs, place the outputs and refuse what would go wrong.

    Args:
        inputs: files, folders, globs and ``-``.
        instruction: what to do with each that has no text of its own; ``None`` is none.
        placement: where outputs go.
        recursive: go into the folders of folders.
        rows: lines of a list of pictures.
        asked: whether the texts are instructions, which there must be, or captions, which may be
            missing.
        caption_files: take the caption of ``in.jpg`` from ``in.txt`` beside it where there is one
            and no other text is given.
        own_tags: files and folders named ``*.<tag>`` are outputs of ours and not taken from
            folders.
        masks: a mask for all pictures that have none of their own in a list, or a folder with one
            for each: of the same name below it, whatever the extension.
        ledger: what is known of results that are there; without, they are only known to be there.
        shard: which of how many shares of the pictures, from 1. Which picture is whose hangs on
            its key alone, so that pictures that come or go do not move others.
        ready: chooses among the pictures, of which there may then be none: for folders that they
            come into.

    Raises:
        UsageError: an input or a mask does not exist, an input has no instruction, two inputs
            would write one output, or a source would be overwritten.
    """
    if masks is not None and not masks.exists():
        raise UsageError(f"--mask {masks}: no such file or folder")
    one_file = not rows and len(inputs) == 1
    one_file = one_file and not os.path.isdir(inputs[0]) and not is_glob(inputs[0])
    folder = _output_folder(placement, one_file=one_file or (len(rows) == 1 and not inputs))
    leave_out = [path for path in (folder, masks) if path is not None]
    found = find_pictures(
        inputs,
        rows,
        recursive=recursive,
        leave_out=leave_out,
        own_tags=own_tags,
        is_sheet=placement.is_sheet,
        in_place=placement.in_place,
        may_be_empty=ready is not None,
    )
    if ledger is not None and folder is not None:
        found = [item for item in found if not _is_made(item, folder, ledger)]
    sources = [item.path for item in found if item.path is not None]
    if ready is not None:
        chosen = ready(sources)
        if not chosen:
            return Plan()
        found = [item for item in found if item.path in chosen]
    if STREAM in (placement.output, *inputs) and len(found) > 1:
        raise UsageError(f"- stands for one picture, but there are {len(found)}")
    if placement.in_place and any(item.path is None for item in found):
        raise UsageError("--in-place: standard input is no file that could be replaced")

    mask_of = _find_masks(found, masks)
    plan = Plan()
    jobs = []
    made: dict[Path, None] = {}
    for item in found:
        own_output = item.row is not None and item.row.output is not None
        home = _home(item, placement, folder)
        if item.root is not None and placement.output is None and not placement.in_place:
            made[_sibling(item.root, placement)] = None
        text = item.row.text if item.row is not None else None
        text = instruction if text is None else text
        if text is None and caption_files:
            text = _caption_beside(item.path)
            plan.captioned += text is not None
        if text is not None and not text.isascii() and re.search(r"[\ud800-\udfff]", text):
            raise UsageError(f"{item.path}: its {asked} is no UTF-8 text: {text!r}")
        if text is not None and not text.strip() and asked == "instruction":
            raise UsageError(f"{item.path}: its instruction is empty")
        if text is None and asked == "instruction":
            raise UsageError(
                f"{item.path}: has no instruction; give --instruction, or a column of that name"
            )
        if own_output and placement.in_place:
            raise UsageError(f"--in-place: {item.path} has an output of its own in the list")
        for variation in range(placement.variations):
            output = _place(item, placement, folder, variation)
            jobs.append(
                Job(
                    source=item.path,
                    output=output,
                    key=item.key,
                    instruction=text or "",
                    asked=asked,
                    seed=None if item.row is None else item.row.seed,
                    beside=_beside(item, output, placement, variation),
                    candidates=_candidates(item, output, placement, variation),
                    mask=mask_of[item],
                    home=home if output is not None and _is_below(output, home) else None,
                    variation=variation,
                    variations=placement.variations,
                )
            )
    _refuse_collisions(jobs, sources, in_place=placement.in_place, sheet=placement.sheet)

    plan.folders.extend(made)
    for job in jobs:
        if not _is_in_shard(job.key, shard):
            plan.elsewhere += 1
            continue
        if ledger is not None and placement.on_exists == "skip":
            verdict = ledger.judge(job)
        else:
            # A folder of that name is no result; that it is in the way is told as it is written.
            exists = (
                not placement.in_place
                and job.output is not None
                and os.path.exists(job.output)
                and not os.path.isdir(job.output)
            )
            verdict = Verdict.UNKNOWN if exists else Verdict.MISSING
        if verdict is not Verdict.MISSING and placement.on_exists == "error":
            raise UsageError(f"{job.output}: is already there (--on-exists error)")
        if verdict.stays and placement.on_exists == "skip":
            plan.skipped.append(job)
            if verdict is Verdict.OTHER_PICTURE:
                plan.strange.append(job)
            continue
        plan.jobs.append(job)
        if verdict is not Verdict.MISSING and placement.on_exists == "skip":
            plan.again.setdefault(verdict, []).append(job)
    return plan


def _find_masks(found: Sequence[Found], masks: Path | None) -> dict[Found, Path | None]:
    """The mask of each picture, ``None`` for those that may change everywhere."""
    files: dict[str, list[Path]] = {}
    if masks is not None and masks.is_dir():
        for file in masks.rglob("*"):
            if images.is_picture_name(file) and file.is_file():
                key = file.relative_to(masks).with_suffix("").as_posix()
                files.setdefault(key, []).append(file)
    chosen: dict[Found, Path | None] = {}
    missing = []
    for item in found:
        mask = masks
        if item.row is not None and item.row.mask is not None:
            mask = item.row.mask
        elif masks is not None and masks.is_dir():
            if item.path is None:
                raise UsageError(f"--mask {masks}: a picture from standard input needs a mask file")
            # Of several, the one whose extension is the picture's, too.
            fitting = files.get(Path(item.key).with_suffix("").as_posix(), [])
            same = [file for file in fitting if file.suffix == item.path.suffix] or fitting
            if len(same) > 1:
                raise UsageError(f"{item.path}: {same[0]} and {same[1]} could both be its mask")
            if not same:
                missing.append(item)
            mask = same[0] if same else None
        if (
            mask is not None
            and item.path is not None
            and os.path.realpath(mask) == os.path.realpath(item.path)
        ):
            raise UsageError(f"{item.path}: is its own mask")
        chosen[item] = mask
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        wanted = Path(str(masks)) / Path(missing[0].key).with_suffix(".png")
        raise UsageError(
            f"{missing[0].path}{more}: has no mask, such as {wanted}; a white picture lets all "
            "change, a black one nothing"
        )
    return chosen


def _home(item: Found, placement: Placement, folder: Path | None) -> Path | None:
    """The folder of results that the result of an input belongs to."""
    if placement.in_place:
        return item.root
    if folder is not None or placement.output is not None or item.root is None:
        return folder
    return _sibling(item.root, placement)


def _is_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.is_relative_to(folder)


def _is_made(item: Found, folder: Path, ledger: Ledger) -> bool:
    """Whether a picture found in a folder is a result of ours that is kept there."""
    if item.root is None or item.path is None:
        return False
    # Spelt in two ways it may be one folder.
    root = os.path.realpath(item.root)
    home = os.path.realpath(folder)
    if not (root + os.sep).startswith(home + os.sep):
        return False
    return ledger.has_made(folder, Path(root) / item.key)


def _is_in_shard(key: str, shard: tuple[int, int]) -> bool:
    number, count = shard
    digest = hashlib.blake2b(os.fsencode(key), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count == number - 1


def _caption_beside(path: Path | None) -> str | None:
    """The text of ``in.txt`` beside ``in.jpg``, or ``None``."""
    if path is None:
        return None
    file = path.with_suffix(".txt")
    try:
        return " ".join(file.read_text(encoding="utf-8-sig").split()) if file.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: is no caption that can be read: {error}") from error


def _beside(
    item: Found, output: Path | None, placement: Placement, variation: int
) -> dict[str, Path]:
    """Where the map and the preview of a picture go."""
    beside = {}
    # All variations have one map.
    if placement.maps is not None and not variation:
        if item.path is None:
            raise UsageError("--save-map: a picture from standard input has no name for its map")
        beside["map"] = placement.maps / Path(item.key).with_suffix(".png")
    if placement.preview:
        if output is None:
            raise UsageError("--preview: a picture for standard output has no name for a preview")
        beside["preview"] = output.with_name(f"{output.stem}.preview{output.suffix}")
    return beside


def _candidates(
    item: Found, output: Path | None, placement: Placement, variation: int
) -> tuple[Path, ...]:
    """Where what a result is chosen from is kept."""
    if placement.candidates is None:
        return ()
    if item.path is None or output is None:
        raise UsageError("--candidates: standard input and output have no names for them")
    name = placement.numbered(Path(item.key), variation).with_suffix(output.suffix)
    return tuple(
        placement.candidates / name.with_name(f"{name.stem}-{number + 1}{name.suffix}")
        for number in range(placement.best_of)
    )


def _output_folder(placement: Placement, *, one_file: bool) -> Path | None:
    """The folder ``-o`` names, or ``None`` where it names a file, a stream or nothing."""
    if placement.output is None or placement.output == STREAM:
        return None
    path = Path(placement.output)
    says_folder = placement.output.endswith(("/", os.sep)) or path.is_dir()
    says_file = path.suffix.lower() in images.FORMATS or path.is_file()
    if says_folder or not says_file:
        if path.is_file():
            raise UsageError(f"-o {placement.output}: is a file, not a folder")
        return path
    if not one_file:
        raise UsageError(
            f"-o {placement.output}: several pictures cannot go into one file; name a folder"
        )
    for flag, value in (("--name", placement.name), ("--format", placement.format)):
        if value not in (None, "auto"):
            raise UsageError(f"-o {placement.output} already says it: leave {flag} out")
    return None


def _sibling(root: Path, placement: Placement) -> Path:
    # "." and ".." have no name of their own to add to.
    root = root if root.name not in ("", "..") else root.resolve()
    return root.with_name(f"{root.name}.{placement.tag}")


def _place(item: Found, placement: Placement, folder: Path | None, variation: int) -> Path | None:
    if placement.in_place:
        if item.path is not None and images.written_extension(item.path.suffix) != item.path.suffix:
            raise UsageError(
                f"--in-place: {item.path} is HEIC, which cannot be written here; leave it out, "
                "or pip install pillow-heif"
            )
        return item.path
    if item.row is not None and item.row.output is not None:
        return placement.numbered(item.row.output, variation)
    if item.path is None:
        return _place_stream(placement, folder, variation)
    stem, extension = item.path.stem, images.written_extension(item.path.suffix)
    if folder is None and placement.output is not None:
        if placement.output == STREAM:
            return None
        return placement.numbered(Path(placement.output), variation)
    if folder is None and item.root is None:
        stem = stem if placement.name is not None else f"{stem}.{placement.tag}"
        return item.path.with_name(placement.file_name(stem, extension, variation))
    if folder is None:
        assert item.root is not None
        folder = _sibling(item.root, placement)
    return folder / Path(item.key).with_name(placement.file_name(stem, extension, variation))


def _place_stream(placement: Placement, folder: Path | None, variation: int) -> Path | None:
    if folder is not None:
        raise UsageError(f"-o {placement.output}: a picture from standard input needs a file name")
    if placement.output not in (None, STREAM):
        return placement.numbered(Path(str(placement.output)), variation)
    if placement.name is not None:
        raise UsageError("--name: a picture from standard input has no name; give -o FILE")
    if placement.variations > 1:
        raise UsageError("--variations: standard output holds one picture; give -o FILE")
    return None


def _target(file: Path) -> str:
    """Equal for two names that one file would be written to."""
    return os.path.normcase(os.path.realpath(file))


def _refuse_collisions(
    jobs: Sequence[Job], inputs: Sequence[Path], *, in_place: bool, sheet: Path | None
) -> None:
    sources = set(map(os.path.realpath, inputs))
    masks = {os.path.realpath(job.mask) for job in jobs if job.mask is not None}
    writers: dict[str, Job] = {}
    for job in jobs:
        for output in job.writes:
            target = _target(output)
            if target in writers:
                other = writers[target]
                raise UsageError(
                    f"{other.source_name} and {job.source_name} would both be written to "
                    f"{output}; use --name, --format or one folder at a time"
                )
            writers[target] = job
            if target in masks:
                raise UsageError(
                    f"{output}: is a mask and would be overwritten; name another output"
                )
            if target in sources and not (in_place and output is job.output):
                raise UsageError(
                    f"{output}: is an input and would be overwritten; "
                    "name another output, or use --in-place"
                )
    if sheet is not None:
        target = _target(sheet)
        if target in sources or target in writers:
            what = "an input" if target in sources else "the place of a result"
            raise UsageError(f"--sheet {sheet}: is {what}; name another file")
