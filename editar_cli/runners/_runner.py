"""What all runners are given, and what they have in common."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from editar_cli.batch import Job
from editar_cli.images import ReadOptions
from editar_cli.ledger import Ledger
from editar_cli.pipeline import Maker, Outcome, Stages, run_jobs


class Seat(NamedTuple):
    """Which of the processes on a machine one is.

    Args:
        number: from 0.
        of: how many there are; they share its processor cores.
    """

    number: int = 0
    of: int = 1


class Session(NamedTuple):
    """What a run works with.

    Args:
        maker: edits or translates.
        slots: pictures in the model at once.
        threads: that read and write beside it.
        place: the device it is on, for people.
        notes: what the person should know.
    """

    maker: Maker[Any, Any]
    slots: int
    threads: int
    place: str = ""
    notes: tuple[str, ...] = ()

    @property
    def opened(self) -> "Opened":
        """What is told of it."""
        return Opened(dict(self.maker.facts), self.notes, (self.place,))


class Opened(NamedTuple):
    """What is told of a runner whose models are loaded; can be sent to another process.

    Args:
        facts: model and settings as they came out, the same in all processes.
        notes: what the person should know.
        places: the devices that the model is on.
    """

    facts: Mapping[str, object]
    notes: tuple[str, ...]
    places: tuple[str, ...]


class Opening(Protocol):
    """Loads the model; can be sent to another process and do it there."""

    def __call__(self, seat: Seat) -> Session:
        """For the process at this seat.

        Raises:
            ModelError: the model or the device is not there or cannot be used.
        """


@dataclass(frozen=True, kw_only=True)
class Making:
    """How pictures are read and written, and what that is called.

    Args:
        doing: what is going on, in a word.
        format: format of results for standard output: ``auto`` or an extension without its dot.
        read: which pictures are refused.
        strip: write no metadata.
    """

    doing: str = "editing"
    format: str = "auto"
    read: ReadOptions = field(default_factory=ReadOptions)
    strip: bool = False


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who is told of a run, by the thread that it was started in.

    Args:
        outcome: what became of a picture; in the order of the jobs, as soon as its file stands.
        progress: how many pictures are done, fractions included, and how many are at which stage.
        warning: what the person should know.
    """

    outcome: Callable[[Outcome], None]
    progress: Callable[[float, Stages], None] = lambda done, stages: None
    warning: Callable[[str], None] = lambda text: None


class Runner(Protocol):
    """Does jobs. Whichever does them, files, manifest and outcomes are the same."""

    def open(self) -> Opened:
        """Load the model, once for all runs.

        Raises:
            ModelError: it or the device is not there or cannot be used.
        """

    def run(
        self,
        jobs: Sequence[Job],
        listener: Listener,
        *,
        most_failures: int | None = None,
    ) -> None:
        """Do all jobs. The ledger is open for them.

        Args:
            jobs: what to do, in order.
            listener: told what becomes of them.
            most_failures: stop after so many outcomes with an error, 1 or more; then only those
                that are written already are told.
        """

    def close(self) -> None:
        """Let go of what ``open`` took; what is being written is written."""


def run_session(
    session: Session,
    making: Making,
    jobs: Iterable[Job],
    ledger: Ledger,
    listener: Listener,
    *,
    most_failures: int | None = None,
) -> None:
    """``run_jobs`` with a session, in this process."""
    run_jobs(
        jobs,
        session.maker,
        listener.outcome,
        slots=session.slots,
        threads=session.threads,
        format=making.format,
        read=making.read,
        strip=making.strip,
        doing=making.doing,
        most_failures=most_failures,
        ledger=ledger,
        on_progress=listener.progress,
        on_fewer_slots=lambda slots: listener.warning(
            f"memory ran out: going on with {slots} pictures at once"
        ),
    )


class Enough(Exception):
    """As many pictures have failed as a run may stand."""


class InTurn:
    """Tells outcomes in the order of their jobs, in whatever order they come.

    Args:
        jobs: of one plan: no two have one output.
        tell: told each outcome.
        most_failures: as many may fail, all others being told first; ``None`` for all.
    """

    def __init__(
        self, jobs: Sequence[Job], tell: Callable[[Outcome], None], most_failures: int | None
    ) -> None:
        self.failures = 0
        self._tell = tell
        self._most = most_failures
        self._waiting: dict[int, Outcome] = {}
        self._told = 0
        self._told_failures = 0
        self._numbers = {job.output: number for number, job in enumerate(jobs)}

    @property
    def enough(self) -> bool:
        """Whether as many have failed as may: no more is to be begun."""
        return self._most is not None and self.failures >= self._most

    def take(self, outcome: Outcome) -> None:
        """An outcome has come.

        Raises:
            Enough: too many have failed.
        """
        self._waiting[self._numbers[outcome.job.output]] = outcome
        self.failures += outcome.error is not None
        while self._told in self._waiting:
            one = self._waiting.pop(self._told)
            self._told += 1
            self._tell(one)
            self._told_failures += one.error is not None
            if self._most is not None and self._told_failures >= self._most:
                raise Enough

    def stop(self) -> None:
        """Tell, of what has not had its turn, what is written, and as many failures as may be."""
        for number in sorted(self._waiting):
            outcome = self._waiting.pop(number)
            self._told_failures += outcome.error is not None
            if outcome.error is None or self._most is None or self._told_failures <= self._most:
                self._tell(outcome)
