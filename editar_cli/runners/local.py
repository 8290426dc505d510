"""The usual runner: one model, in this process."""

from collections.abc import Sequence

from editar_cli.batch import Job
from editar_cli.ledger import Ledger
from editar_cli.runners._runner import (
    Listener,
    Making,
    Opened,
    Opening,
    Seat,
    Session,
    run_session,
)


class Local:
    """Does jobs in this process.

    Args:
        opening: loads the model.
        making: how pictures are read and written.
        ledger: keeps account of the jobs.
    """

    def __init__(self, opening: Opening, making: Making, ledger: Ledger) -> None:
        self.opening = opening
        self.making = making
        self.ledger = ledger
        self._session: Session | None = None

    def open(self) -> Opened:
        """As ``Runner.open``."""
        self._session = self.opening(Seat())
        return self._session.opened

    def run(
        self, jobs: Sequence[Job], listener: Listener, *, most_failures: int | None = None
    ) -> None:
        """As ``Runner.run``."""
        assert self._session is not None, "open() comes first"
        run_session(
            self._session,
            self.making,
            jobs,
            self.ledger,
            listener,
            most_failures=most_failures,
        )

    def close(self) -> None:
        """Nothing is left to be let go."""
