"""Claims: several processes work into one folder and none does what another is doing.

One small file in the folder is locked in parts: its first byte is shared by all who are there, and
each claimed name has a byte of its own. The operating system lets go of the locks of a process
that ends, however it ends, and the last one to leave takes the file away.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

_fcntl: ModuleType | None
try:
    import fcntl

    _fcntl = fcntl
except ImportError:  # Windows: the locks there cannot be shared
    _fcntl = None

NAME = ".editar.lock"
_PRESENCE = 0
"""The byte that all who are there share."""


class Claims:
    """The claims of this process on names in one folder.

    Where the file system has no locks, every claim is granted: see ``works``. The locks are those
    of a process: two objects for one folder in one process do not keep each other out.

    Args:
        folder: made where it is missing.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.works = _fcntl is not None
        """Whether other processes are kept out."""
        self._file = folder / NAME
        self._open = -1
        folder.mkdir(parents=True, exist_ok=True)
        while self.works and not self._enter():
            pass

    def take(self, name: str) -> bool:
        """Claim a name; False where another process has it."""
        return not self.works or self._lock(_byte_of(name), exclusive=True)

    def give_back(self, name: str) -> None:
        """Let go of a name."""
        if self.works:
            self._unlock(_byte_of(name))

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no other process is in the folder; none comes in meanwhile."""
        alone = self.works and self._lock(_PRESENCE, exclusive=True)
        try:
            yield alone
        finally:
            if alone:
                self._lock(_PRESENCE, exclusive=False)

    def close(self) -> None:
        """Let go of all; the last to leave takes the file away."""
        if self._open < 0:
            return
        with contextlib.suppress(OSError):
            # Nobody can come in between: who waits for the byte looks whether the file is still
            # there when it is his.
            if self._lock(_PRESENCE, exclusive=True):
                self._file.unlink()
        os.close(self._open)
        self._open = -1
        self.works = False

    def _enter(self) -> bool:
        """Open the file and share it; False where it was taken away meanwhile."""
        assert _fcntl is not None
        self._open = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            # This waits for whoever is alone there: never for long.
            _fcntl.lockf(self._open, _fcntl.LOCK_SH, 1, _PRESENCE)
            found = os.stat(self._file)
            if os.path.samestat(found, os.fstat(self._open)):
                return True
        except FileNotFoundError:
            pass
        except OSError:
            # This file system has no locks.
            self.works = False
            with contextlib.suppress(OSError):
                self._file.unlink()
        os.close(self._open)
        self._open = -1
        return not self.works

    def _lock(self, byte: int, *, exclusive: bool) -> bool:
        assert _fcntl is not None
        kind = _fcntl.LOCK_EX if exclusive else _fcntl.LOCK_SH
        try:
            _fcntl.lockf(self._open, kind | _fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(self, byte: int) -> None:
        assert _fcntl is not None
        _fcntl.lockf(self._open, _fcntl.LOCK_UN, 1, byte)


def _byte_of(name: str) -> int:
    """A place in the file for a name; no two of a million names share one (chance 1 in 10^7)."""
    digest = hashlib.blake2b(os.fsencode(name), digest_size=8).digest()
    return 1 + (int.from_bytes(digest, "big") >> 2)
