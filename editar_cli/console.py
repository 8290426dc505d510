"""Messages and progress for people, on standard error. Standard output carries results only.

rich is loaded with the first message, not before. It honours ``NO_COLOR`` itself.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Verbosity(IntEnum):
    """How much is said: errors only, the usual, or every step."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


class ProgressCallback(Protocol):
    """Takes the number of pictures done so far, fractions included, and what is going on."""

    def __call__(self, done: float, what: str) -> None:
        """Show that ``done`` pictures are done."""


def _rich_console() -> "Console":
    from rich.console import Console

    # highlight=False: paths and numbers in a message are not coloured by guesswork.
    return Console(stderr=True, highlight=False, soft_wrap=True)


class Messages:
    """Speaks to the person on standard error as loudly as asked for."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.verbosity = (
            Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL
        )
        self._console: Console | None = None

    def error(self, text: str) -> None:
        """Always shown."""
        self._print("error: ", text, "bold red")

    def warning(self, text: str) -> None:
        """Shown unless quiet."""
        if self.verbosity >= Verbosity.NORMAL:
            self._print("warning: ", text, "yellow")

    def info(self, text: str) -> None:
        """Shown unless quiet."""
        if self.verbosity >= Verbosity.NORMAL:
            self._print("", text, "")

    def detail(self, text: str) -> None:
        """Shown when verbose."""
        if self.verbosity >= Verbosity.VERBOSE:
            self._print("", text, "dim")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, its first column of words and the others of figures; shown unless quiet."""
        if self.verbosity == Verbosity.QUIET:
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for i, header in enumerate(headers):
            table.add_column(Text(header), justify="right" if i else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console = _rich_console()
        # A log has no width of its own, and figures cut short are of no use.
        console.width = 1000
        console.print(table)

    @contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """A sign of life while something without parts goes on, on a terminal.

        Yields:
            What says in other words what is going on.
        """
        if not self._shows():
            yield lambda what: None
            return
        from rich.text import Text

        # Text, not markup: a file name may hold square brackets.
        with self._drawing() as console, console.status(Text(what), spinner="dots") as status:
            yield lambda what: status.update(Text(what))

    @contextmanager
    def progress(self, total: int) -> Iterator[ProgressCallback]:
        """A bar over ``total`` pictures; silent when quiet or when no terminal would show it."""
        if not self._shows():
            yield _no_progress
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = [BarColumn(bar_width=24), TaskProgressColumn()]
        if total > 1:
            columns += [MofNCompleteColumn(), TextColumn("{task.fields[rate]}")]
        # The text last: it changes its length.
        columns += [TimeRemainingColumn(), TextColumn("{task.description}", markup=False)]
        with (
            self._drawing() as console,
            # Results are not for the console that the bar is on, unless both are the terminal.
            Progress(
                *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
            ) as bar,
        ):
            task = bar.add_task("", total=total, rate="")
            start = time.perf_counter()

            def show(done: float, what: str) -> None:
                rate = pace(done, time.perf_counter() - start)
                bar.update(task, completed=done, description=what, rate=rate)

            yield show

    def _shows(self) -> bool:
        return self.verbosity > Verbosity.QUIET and sys.stderr.isatty()

    @contextmanager
    def _drawing(self) -> Iterator["Console"]:
        """A console for what moves; messages are printed above it meanwhile."""
        self._console = _rich_console()
        try:
            yield self._console
        finally:
            self._console = None

    def _print(self, label: str, text: str, style: str) -> None:
        from rich.text import Text

        # Text, not markup: a file name may hold square brackets.
        line = Text.assemble((label, style), text) if label else Text(text, style=style)
        (self._console or _rich_console()).print(line)


def pace(done: float, seconds: float) -> str:
    """How fast pictures are done, in words."""
    if done < 0.5 or seconds <= 0:
        return ""
    each = seconds / done
    return f"{each:.1f} s each" if each >= 1 else f"{1 / each:.1f} a second"


def span(seconds: float) -> str:
    """How long something took, in words."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _no_progress(done: float, what: str) -> None:
    """The progress nobody watches."""
