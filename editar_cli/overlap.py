"""Work beside the thread that owns it: read ahead and write behind while a model is busy."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Threads that do one thing after another; what comes of it goes back to their owner.

    All methods are the owner's, the thread that made the object. What a task raises is raised
    where the owner would have been given its result.

    Args:
        threads: with none at all a task is done where it is handed in.
    """

    def __init__(self, threads: int) -> None:
        assert threads >= 0, threads
        self.threads = threads
        self._changed = threading.Condition()
        self._urgent: deque[Callable[[], None]] = deque()
        self._usual: deque[Callable[[], None]] = deque()
        # Threads at a task that is not urgent.
        self._busy = 0
        self._closed = False
        self._done: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for number in range(threads):
            # Daemons: one that waits for a network or a pipe must not keep the program from ending.
            threading.Thread(target=self._work, name=f"editar-{number}", daemon=True).start()

    def submit(
        self, task: Callable[[], T], then: Callable[[T], None], *, urgent: bool = False
    ) -> None:
        """Have ``task`` done by a thread and ``then`` called with its result by the owner.

        Args:
            task: what to do.
            then: called from within ``settle``, ``wait`` and ``close``.
            urgent: goes before tasks that are not, and may be left undone by ``close``.
        """
        if not self.threads:
            self._done.put(partial(then, task()))
            return
        with self._changed:
            (self._urgent if urgent else self._usual).append(partial(self._do, task, then))
            self._changed.notify_all()

    def settle(self) -> None:
        """Take what is done by now."""
        while not self._done.empty():
            self._done.get()()

    def wait(self) -> None:
        """Wait until something that was handed in is done, and take it."""
        self._done.get()()
        self.settle()

    def close(self) -> None:
        """End the threads. What is not urgent is done and taken first; nothing is raised here."""
        with self._changed:
            self._closed = True
            self._urgent.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._usual and not self._busy)
        while not self._done.empty():
            with contextlib.suppress(Exception):
                self._done.get()()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._usual or self._closed)
                if not self._urgent and not self._usual:
                    return
                usual = not self._urgent
                do = (self._usual if usual else self._urgent).popleft()
                self._busy += usual
            do()
            # Or the last picture would be held until the next one comes.
            del do
            if usual:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _do(self, task: Callable[[], T], then: Callable[[T], None]) -> None:
        try:
            result = partial(then, task())
        except BaseException as error:
            self._done.put(partial(_raise, error))
        else:
            self._done.put(result)


def _raise(error: BaseException) -> None:
    raise error
