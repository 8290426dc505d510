"""``manifest.jsonl``: what has been made in a folder, of what and how.

One line of JSON for each picture, appended in one piece, so that several processes can write at
once; a later line about the same output wins. A line is written just before its file takes its
name: whenever a process is killed, no finished file is without its line. A torn line, the last one
of such a process, is ignored.
"""

import contextlib
import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "manifest.jsonl"
_SUPERSEDED = 1000
"""Lines that count no more from which on the file is written anew, if they are the most of it."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file's content at a moment.

    Args:
        size: bytes.
        mtime_ns: time of its last change.
        digest: BLAKE2b of its bytes, 128 bits in hexadecimal.
    """

    size: int
    mtime_ns: int
    digest: str

    @classmethod
    def of(cls, file: Path) -> "Fingerprint":
        """Read a file's.

        Raises:
            OSError: it cannot be read.
        """
        with file.open("rb") as stream:
            before = os.fstat(stream.fileno())
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
        return cls(before.st_size, before.st_mtime_ns, digest.hexdigest())

    def fits(self, file: Path) -> bool:
        """Whether a file has this content; it is read only where its time has changed.

        Raises:
            OSError: it cannot be read.
        """
        now = file.stat()
        if now.st_size != self.size:
            return False
        return now.st_mtime_ns == self.mtime_ns or Fingerprint.of(file).digest == self.digest

    def fits_at_sight(self, file: Path) -> bool:
        """Whether size and time are the same; False also where there is no file."""
        try:
            now = file.stat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept at hand of a line about a picture that is done.

    Args:
        offset: where the line begins.
        settings: digest of what it was made with.
        input: the input's path as the manifest has it, or ``None`` for standard input.
        source: the input, or ``None`` for standard input.
        made: the output.
        dtype: number format that the model ran in, ``None`` for none.
    """

    offset: int
    settings: str
    input: str | None
    source: Fingerprint | None
    made: Fingerprint
    dtype: str | None


def digest_of(settings: Mapping[str, object]) -> str:
    """A short name for settings; the order of their names does not matter."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Manifest:
    """The manifest of one folder. Several threads may use it.

    Args:
        folder: where it stands; need not exist.

    Raises:
        OSError: it is there and cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / NAME
        self._done: dict[str, Entry] = {}
        self._failed: dict[str, int] = {}
        """Offsets of last lines about pictures that failed."""
        self._lines = 0
        self._end = 0
        """As far as it has been read."""
        self._inode: tuple[int, int] | None = None
        self._writing = -1
        self._lock = threading.RLock()
        self.refresh()

    def __len__(self) -> int:
        """Outputs that are known."""
        return len(self._done)

    @property
    def size(self) -> int:
        """Bytes that have been read."""
        return self._end

    def name_of(self, path: Path) -> str:
        """A path as lines have it: relative to the folder, so that both can be moved, with ``/``.

        What is on another drive keeps its whole path.
        """
        try:
            return Path(os.path.relpath(path, self.folder)).as_posix()
        except ValueError:
            return path.absolute().as_posix()

    def done(self, name: str) -> Entry | None:
        """The last line about this output that says that it was made."""
        return self._done.get(name)

    def has_failed(self, name: str) -> bool:
        """Whether the last line about this output says that it could not be made."""
        return name in self._failed

    def record(self, name: str) -> dict[str, Any] | None:
        """The whole last line about an output that was made, or ``None``."""
        entry = self._done.get(name)
        if entry is None:
            return None
        with contextlib.suppress(OSError, ValueError), self.file.open("rb") as stream:
            stream.seek(entry.offset)
            record = json.loads(stream.readline())
            if isinstance(record, dict) and record.get("output") == name:
                return record
        return None

    def refresh(self) -> bool:
        """Read what has been appended since; whether that was anything.

        Raises:
            OSError: it cannot be read.
        """
        with self._lock:
            try:
                stream = self.file.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                fresh = self._inode is not None
                self._forget()
                return fresh
            with stream:
                found = os.fstat(stream.fileno())
                inode = (found.st_dev, found.st_ino)
                if inode != self._inode or found.st_size < self._end:
                    # Written anew by another process.
                    self._forget()
                    self._inode = inode
                if found.st_size == self._end:
                    return False
                stream.seek(self._end)
                for line in stream:
                    if not line.endswith(b"\n"):
                        # Torn, or still to come.
                        break
                    self._take(line, self._end)
                    self._end += len(line)
                return True

    def append(self, record: Mapping[str, object]) -> None:
        """Write one line about one picture.

        Raises:
            OSError: it cannot be written; half a line that stands there now is ignored.
        """
        data = _line(record)
        with self._lock:
            if self._writing < 0:
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._writing = os.open(self.file, flags, 0o666)
                if _is_torn(self._writing):
                    data = b"\n" + data
            written = os.write(self._writing, data)
            if written < len(data):
                self.close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))

    def compact(self) -> None:
        """Drop lines that count no more, if those are many; only for who is alone in the folder.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            self.refresh()
            kept = sorted(
                {entry.offset for entry in self._done.values()} | {*self._failed.values()}
            )
            if self._lines - len(kept) < max(_SUPERSEDED, len(kept)):
                return
            self.close()
            part = self.file.with_name(f".{NAME}.{os.getpid()}.part")
            try:
                with self.file.open("rb") as old, part.open("wb") as new:
                    for offset in kept:
                        old.seek(offset)
                        new.write(old.readline())
                part.replace(self.file)
            finally:
                part.unlink(missing_ok=True)
            self.refresh()

    def records(self) -> Iterator[dict[str, Any]]:
        """The last line about each output, whole, in the order they were written."""
        with self._lock:
            self.refresh()
            last = {name: entry.offset for name, entry in self._done.items()}
            last.update(self._failed)
            if not last:
                return
            with self.file.open("rb") as stream:
                for offset in sorted(last.values()):
                    stream.seek(offset)
                    yield json.loads(stream.readline())

    def close(self) -> None:
        """Nothing more is to be appended for now."""
        with self._lock:
            if self._writing >= 0:
                os.close(self._writing)
                self._writing = -1

    def _forget(self) -> None:
        self._done.clear()
        self._failed.clear()
        self._lines = 0
        self._end = 0
        self._inode = None

    def _take(self, line: bytes, offset: int) -> None:
        self._lines += 1
        try:
            record = json.loads(line)
            name = record["output"]
            if record["status"] == "failed":
                self._failed[name] = offset
                return
            entry = _entry(record, offset)
        except (ValueError, KeyError, TypeError):
            # Torn by a process that was killed, or not of ours.
            return
        self._failed.pop(name, None)
        self._done[name] = entry


def _entry(record: Mapping[str, Any], offset: int) -> Entry:
    source = None
    if record.get("input_hash") is not None:
        source = Fingerprint(
            int(record["input_size"]), int(record["input_mtime_ns"]), str(record["input_hash"])
        )
    made = Fingerprint(
        int(record["output_size"]), int(record["output_mtime_ns"]), str(record["output_hash"])
    )
    return Entry(
        offset=offset,
        settings=str(record["settings_hash"]),
        input=record["input"] if source is not None else None,
        source=source,
        made=made,
        dtype=record["settings"].get("dtype"),
    )


def _line(record: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        # A file name that is no text.
        return json.dumps(record).encode() + b"\n"


def _is_torn(file: int) -> bool:
    """Whether the last line has no end."""
    if not os.fstat(file).st_size:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"
