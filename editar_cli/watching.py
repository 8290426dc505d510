"""Which files of a drop folder have come to rest.

By looking again and again: what an operating system tells of changes in a folder leaves out those
that other machines make on a network disk.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

INTERVAL = 1.0
"""Seconds from one look to the next, where looking takes next to none."""
QUIET = 2.0
"""Seconds that a file must have stayed as it is before it is taken."""
_SHARE = 0.1
"""Of the time, what may go into looking."""


class Stamp(NamedTuple):
    """Size in bytes and time of the last change of a file."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, file: Path) -> "Stamp | None":
        """What its folder says, or ``None`` where there is no file."""
        try:
            found = file.stat()
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns)

    @classmethod
    def of_opened(cls, file: Path) -> "Stamp | None":
        """The same of the opened file.

        What a network disk says of a file may be seconds old; when one is opened it asks anew.
        """
        try:
            handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            # It may be there and not to be read: reading it will tell.
            return cls.of(file)
        try:
            found = os.fstat(handle)
        finally:
            os.close(handle)
        return cls(found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _Sight:
    """A file as it was last seen.

    Args:
        stamp: what it was like.
        since: when it was first seen so, in seconds of the watch's clock.
        settled: it has been dealt with as it is.
    """

    stamp: Stamp
    since: float
    settled: bool = False


class Watch:
    """What is known of the files of watched folders.

    Args:
        clock: the time in seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, _Sight] = {}
        self._took = 0.0

    @property
    def restless(self) -> int:
        """Files that were there at the last look and are still to be dealt with."""
        return sum(not sight.settled for sight in self._seen.values())

    @property
    def pause(self) -> float:
        """Seconds until the next look: more where looking takes long."""
        return max(INTERVAL, self._took / _SHARE)

    def look(self, files: Iterable[Path]) -> list[Path]:
        """Those of the files there are now that are to be dealt with: new or changed, and at rest.

        A file is given again and again until it is settled.
        """
        start = self._clock()
        seen: dict[Path, _Sight] = {}
        ready = []
        for file in files:
            stamp = Stamp.of(file)
            if stamp is None:
                # It has gone, or is a link that leads nowhere yet.
                continue
            sight = self._seen.get(file)
            if sight is None or sight.stamp != stamp:
                sight = _Sight(stamp, start)
            if not sight.settled and start - sight.since >= QUIET:
                opened = Stamp.of_opened(file)
                if opened == stamp:
                    ready.append(file)
                elif opened is not None:
                    sight = _Sight(opened, start)
            seen[file] = sight
        self._seen = seen
        self._took = self._clock() - start
        return ready

    def settle(self, files: Iterable[Path], *, replaced: bool = False) -> None:
        """These have been dealt with as they were at the last look; when they change they come
        again.

        Args:
            files: of those that ``look`` gave.
            replaced: by us, so that it is their present state that has been dealt with.
        """
        for file in files:
            stamp = Stamp.of(file) if replaced else self._seen[file].stamp
            if stamp is not None:
                self._seen[file] = _Sight(stamp, self._seen[file].since, settled=True)
