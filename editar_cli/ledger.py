"""What earlier runs, and other processes at this moment, have made of the pictures of a plan.

A ``Ledger`` judges each job before and during a run, by the manifests and claims of the folders
that results go into, and writes its lines. Outputs beside their inputs have no such folder: of
them only their being there counts.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from editar_cli import __version__
from editar_cli.claims import Claims
from editar_cli.errors import EditarError
from editar_cli.manifest import Entry, Fingerprint, Manifest, digest_of

if TYPE_CHECKING:
    from editar_cli.batch import Job

_PART = re.compile(r"\.(?P<name>.*)\.(?P<process>\d+)\.part", re.DOTALL)
_OF_INPUT = ("input_size", "input_mtime_ns", "input_hash")
_OF_OUTPUT = ("output_size", "output_mtime_ns", "output_hash")
_OF_MANIFESTS = {*_OF_INPUT, *_OF_OUTPUT, "settings_hash", "time", "editar"}
"""What of a line is of use to the manifest alone."""
_FURTHER = {"mask", "map", "preview"}
"""Files beside input and output that a line may name."""
_OLD = 3600.0
"""Seconds from which on an unfinished file is nobody's."""


class Verdict(Enum):
    """What is known of a job's output; the value is a reason to make it again, or none."""

    MISSING = "missing"
    SAME = "same"
    OTHER_SETTINGS = "other settings"
    OTHER_INPUT = "inputs that have changed"
    OTHER_PICTURE = "another picture's"
    UNKNOWN = "unknown"

    @property
    def stays(self) -> bool:
        """Whether the output is left as it is where nothing else is asked for."""
        return self in (Verdict.SAME, Verdict.OTHER_PICTURE, Verdict.UNKNOWN)


class Start(Enum):
    """What becomes of a job whose turn it is."""

    GO = "go"
    TAKEN = "another process is at it"
    DONE = "it is done by now"


class Ledger:
    """Keeps account of the jobs of one command.

    Args:
        settings: gives what results depend on beside the picture, its text and its seed: model and
            flags. Called when it is first needed.
        seed: the run's, or ``None`` where there is no chance in results.
        on_exists: what to do with outputs that are there.
        in_place: inputs are replaced.
        dtype: number format that results must have been made in, or ``None`` for any.
    """

    def __init__(
        self,
        settings: Callable[[], Mapping[str, object]] = dict,
        *,
        seed: int | None = 0,
        on_exists: Literal["skip", "overwrite", "error"] = "skip",
        in_place: bool = False,
        dtype: str | None = None,
    ) -> None:
        self.seed = seed
        self.on_exists = on_exists
        self.in_place = in_place
        self.dtype = dtype
        self._ask = settings
        self._asked: Mapping[str, object] | None = None
        self._masks: dict[Path, str] = {}
        self._facts: Mapping[str, object] = {}
        self._manifests: dict[Path, Manifest] = {}
        self._claims: dict[Path, Claims] = {}
        self._ends: dict[Path, int] = {}
        """Sizes of manifests at the start of the run."""
        self._parts: dict[Path, frozenset[str]] = {}
        """Names of unfinished files, without what is added to them, as the plan was made."""
        self._cut_short: set[Path] = set()
        """Outputs that processes which were killed were about to replace."""
        self._touched: dict[tuple[Path, str], tuple[str, Fingerprint]] = {}
        """By home and output: inputs that have another time or place than the manifest says, and
        the same content."""

    def blank(self) -> "Ledger":
        """One of the same command that has nothing open and can be sent to another process."""
        return Ledger(
            partial(dict, self._settings),
            seed=self.seed,
            on_exists=self.on_exists,
            in_place=self.in_place,
            dtype=self.dtype,
        )

    @property
    def _settings(self) -> Mapping[str, object]:
        if self._asked is None:
            self._asked = self._ask()
        return self._asked

    def settings_of(self, job: "Job") -> dict[str, object]:
        """All that a result depends on beside the picture itself."""
        settings = {**self._settings, job.asked: job.instruction}
        if self.seed is not None:
            settings["seed"] = self.seed if job.seed is None else job.seed
            if job.variation:
                settings["variation"] = job.variation + 1
        if job.mask is not None:
            settings["mask"] = self._mask_content(job.mask)
        return settings

    def _mask_content(self, mask: Path) -> str:
        """What a mask shows, wherever it lies; one mask may serve many pictures."""
        if mask not in self._masks:
            try:
                self._masks[mask] = hashlib.blake2b(mask.read_bytes(), digest_size=16).hexdigest()
            except OSError:
                # The picture's turn will tell what is wrong with it.
                self._masks[mask] = "cannot be read"
        return self._masks[mask]

    def judge(self, job: "Job") -> Verdict:
        """What is known of a job's output.

        Raises:
            EditarError: a manifest cannot be read, or the model is not there.
        """
        # os.path: a name that is too long to be one is not there either.
        if job.output is None or not os.path.exists(job.output) or os.path.isdir(job.output):
            return Verdict.MISSING
        manifest = None if job.home is None else self.manifest(job.home)
        entry = None if manifest is None else manifest.done(_name(job))
        if manifest is None or entry is None:
            return Verdict.MISSING if self.in_place else Verdict.UNKNOWN
        same = self.dtype in (None, entry.dtype)
        same = same and entry.settings == digest_of(self.settings_of(job))
        if self.in_place:
            done = same and _fits(entry.made, job.output)
            return Verdict.SAME if done else Verdict.MISSING
        if not self._is_of(job, entry, manifest):
            known = job.source is not None and entry.input == manifest.name_of(job.source)
            return Verdict.OTHER_INPUT if known else Verdict.OTHER_PICTURE
        if not same:
            return Verdict.OTHER_SETTINGS
        if not all(file.exists() for file in job.beside.values()):
            return Verdict.MISSING
        # A line is written before its file takes its name. A file that is not as the line says may
        # have been touched up since, but not where the process came to its end in between.
        if entry.made.fits_at_sight(job.output):
            return Verdict.SAME
        if job.output.name[:200] in self._unfinished(job.output.parent):
            self._cut_short.add(job.output)
        return Verdict.MISSING if job.output in self._cut_short else Verdict.SAME

    def differences(self, job: "Job") -> list[str]:
        """Names of settings that an output was made with other values of."""
        assert job.home is not None
        record = self.manifest(job.home).record(_name(job)) or {}
        before, now = record.get("settings", {}), self.settings_of(job)
        if self.dtype is not None:
            now["dtype"] = self.dtype
        names = [name for name in now if before.get(name) != now[name]]
        # Digests are not for people.
        return [name for name in names if name != "model_hash" or names == ["model_hash"]]

    def record_of(self, job: "Job") -> dict[str, object] | None:
        """What was told of a job's output when it was made, or ``None`` where no line says so.

        Its paths lead from here, as those of the job do; in the line they start at the folder.
        """
        if job.home is None or job.output is None:
            return None
        line = self.manifest(job.home).record(_name(job))
        if line is None:
            return None
        told = {name: line[name] for name in line if name not in _OF_MANIFESTS}
        for name in _FURTHER & told.keys():
            told[name] = os.path.normpath(job.home / told[name])
        if "candidates" in told:
            told["candidates"] = [os.path.normpath(job.home / name) for name in told["candidates"]]
        return {**told, **job.record("done")}

    def has_made(self, home: Path, path: Path) -> bool:
        """Whether a picture in a folder of results is one of them."""
        manifest = self.manifest(home)
        if not len(manifest):
            return False
        name = manifest.name_of(path)
        entry = manifest.done(name)
        # What was edited in place is both.
        return entry is not None and entry.input != name

    def manifest(self, home: Path) -> Manifest:
        """The manifest of a folder.

        Raises:
            EditarError: it cannot be read.
        """
        if home not in self._manifests:
            try:
                self._manifests[home] = Manifest(home)
            except OSError as error:
                raise EditarError(
                    f"{error.filename}: cannot be read: {error.strerror or error}"
                ) from error
        return self._manifests[home]

    def look_again(self) -> None:
        """Before another plan: take in what others have written.

        Raises:
            EditarError: a manifest cannot be read.
        """
        self._parts.clear()
        for manifest in self._manifests.values():
            try:
                manifest.refresh()
            except OSError as error:
                raise EditarError(f"{manifest.file}: cannot be read: {error.strerror}") from error

    def open(self, jobs: Iterable["Job"], facts: Mapping[str, object]) -> list[str]:
        """Enter the folders that jobs write into, and clean up what killed processes left there.

        Args:
            jobs: of one plan; may be called again with those of another.
            facts: model and settings as they came out, for the lines.

        Returns:
            Warnings.

        Raises:
            EditarError: a folder cannot be written.
        """
        self._facts = facts
        warnings = []
        folders: dict[Path, set[Path]] = {}
        for job in jobs:
            if job.home is not None and job.output is not None:
                folders.setdefault(job.home, set()).add(job.output.parent)
        for home, inner in folders.items():
            manifest = self.manifest(home)
            if home not in self._claims:
                try:
                    claims = self._claims[home] = Claims(home)
                except OSError as error:
                    raise EditarError(
                        f"{home}: cannot be written: {error.strerror or error}"
                    ) from error
                if not claims.works:
                    warnings.append(
                        f"{home}: has no file locks; another editar at work there at the same "
                        "time would do the same pictures"
                    )
            self._note_touched(home, manifest)
            manifest.refresh()
            self._ends.setdefault(home, manifest.size)
            with self._claims[home].alone() as alone:
                if alone:
                    for folder in inner:
                        _sweep(folder)
        self._parts.clear()
        return warnings

    def begin(self, job: "Job") -> Start:
        """Claim a job whose turn it is and look once more whether it is to be done."""
        claims = None if job.home is None else self._claims.get(job.home)
        if claims is None:
            return Start.GO
        assert job.home is not None
        name = _name(job)
        if not claims.take(name):
            return Start.TAKEN
        self._parts.clear()
        manifest = self.manifest(job.home)
        manifest.refresh()
        if self.on_exists == "overwrite":
            entry = manifest.done(name)
            # By another process, and since this run began.
            fresh = entry is not None and entry.offset >= self._ends[job.home]
            done = fresh and self.judge(job) is Verdict.SAME
        else:
            done = self.judge(job).stays
        if done:
            claims.give_back(name)
        return Start.DONE if done else Start.GO

    def ready(
        self, job: "Job", record: Mapping[str, object], source: Fingerprint | None, part: Path
    ) -> None:
        """Write the line of a picture that is finished; may be called by several threads.

        Args:
            job: of which ``begin`` said that it is to be done.
            record: what is told of it.
            source: its input.
            part: the complete file, just before it takes its name.

        Raises:
            OSError: the manifest cannot be written.
        """
        if job.home is None or job.home not in self._claims:
            return
        made = Fingerprint.of(part)
        output = dict(zip(_OF_OUTPUT, astuple(made), strict=True))
        self.manifest(job.home).append(self._line(job, record, source, output))

    def end(self, job: "Job", record: Mapping[str, object]) -> None:
        """What became of a job that was begun: let go of it, with a line where it has failed."""
        if job.home is None or job.home not in self._claims:
            return
        if record["status"] == "failed":
            # Where there is no room for it the person is told all the same.
            with contextlib.suppress(OSError):
                self.manifest(job.home).append(self._line(job, record, None, {}))
        self._claims[job.home].give_back(_name(job))

    def close(self) -> None:
        """Leave all folders."""
        for home, claims in self._claims.items():
            manifest = self._manifests[home]
            with contextlib.suppress(OSError):
                with claims.alone() as alone:
                    if alone:
                        manifest.compact()
                manifest.close()
            claims.close()
        self._claims.clear()
        self._ends.clear()

    def _line(
        self,
        job: "Job",
        record: Mapping[str, object],
        source: Fingerprint | None,
        more: Mapping[str, object],
    ) -> dict[str, object]:
        assert job.home is not None
        manifest = self.manifest(job.home)
        settings = self.settings_of(job)
        paths = {} if job.source is None else {"input": manifest.name_of(job.source)}
        paths |= {what: manifest.name_of(file) for what, file in job.beside.items()}
        paths |= {} if job.mask is None else {"mask": manifest.name_of(job.mask)}
        line = {**record, **paths, "output": _name(job)}
        if job.candidates:
            line["candidates"] = [manifest.name_of(file) for file in job.candidates]
        if source is not None:
            line |= _of_input(source)
        return {
            **line,
            **more,
            "settings": {**self._facts, **settings},
            "settings_hash": digest_of(settings),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "editar": __version__,
        }

    def _is_of(self, job: "Job", entry: Entry, manifest: Manifest) -> bool:
        """Whether an output was made of the picture as it is now."""
        if job.source is None or entry.source is None:
            return job.source is None and entry.source is None
        if entry.source.fits_at_sight(job.source):
            return True
        assert job.home is not None
        place = job.home, _name(job)
        if place in self._touched and self._touched[place][1].fits_at_sight(job.source):
            return True
        try:
            if job.source.stat().st_size != entry.source.size:
                return False
            now = Fingerprint.of(job.source)
        except OSError:
            # It has gone: reading it will tell.
            return True
        if now.digest != entry.source.digest:
            return False
        self._touched[place] = manifest.name_of(job.source), now
        return True

    def _note_touched(self, home: Path, manifest: Manifest) -> None:
        """So that the next plan need not read those inputs again."""
        for place in [place for place in self._touched if place[0] == home]:
            name, source = self._touched.pop(place)
            record = manifest.record(place[1])
            if record is not None:
                # The same is found out again where there is no room.
                with contextlib.suppress(OSError):
                    manifest.append({**record, "input": name, **_of_input(source)})

    def _unfinished(self, folder: Path) -> frozenset[str]:
        if folder not in self._parts:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            matches = map(_PART.fullmatch, names)
            self._parts[folder] = frozenset(match["name"] for match in matches if match)
        return self._parts[folder]


def _name(job: "Job") -> str:
    """A job's output as the manifest of its folder has it."""
    assert job.home is not None and job.output is not None
    return job.output.relative_to(job.home).as_posix()


def _of_input(source: Fingerprint) -> dict[str, object]:
    return dict(zip(_OF_INPUT, astuple(source), strict=True))


def _fits(made: Fingerprint, file: Path) -> bool:
    try:
        return made.fits(file)
    except OSError:
        return False


def _sweep(folder: Path) -> None:
    """Delete unfinished files of processes that have ended."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            match = _PART.fullmatch(entry.name)
            if match is None:
                continue
            with contextlib.suppress(OSError):
                old = time.time() - entry.stat().st_mtime > _OLD
                if old or not _is_alive(int(match["process"])):
                    os.unlink(entry.path)


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False
    if os.name == "nt":
        # There a signal of 0 would end the process.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
