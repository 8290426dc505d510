"""``--report``: what a run has done, gathered for the page that is written at its end."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from editar_cli.console import Messages
from editar_cli.errors import EditarError

if TYPE_CHECKING:
    from editar_cli.batch import Plan


class Review:
    """Gathers what a report shows; does nothing where none is asked for.

    Args:
        file: the page, or ``None``.
        plan: what the run is going to do.
        messages: where people are told.
    """

    def __init__(self, file: Path | None, plan: "Plan", messages: Messages) -> None:
        self.facts: Mapping[str, object] = {}
        """Model and settings, once they are known."""
        self._file = file
        self._plan = plan
        self._messages = messages
        self._records: list[dict[str, object]] = []
        self._start = time.monotonic()

    def add(self, record: dict[str, object]) -> None:
        """What became of one picture."""
        if self._file is not None:
            self._records.append(record)

    def write(self) -> bool:
        """Write the page, with a note where pictures of the plan are missing.

        Returns:
            False where it could not be written, which is then told.
        """
        records = [*self._records, *(job.record("skipped") for job in self._plan.skipped)]
        if self._file is None or not records:
            return True
        from editar_cli.batch import natural_key
        from editar_cli.report import Heading, write_report

        if self._plan.skipped:
            # To their places among the others.
            records.sort(key=lambda record: natural_key(str(record["input"])))
        left = len(self._plan.jobs) - len(self._records)
        heading = Heading(
            facts=self.facts,
            ended=datetime.now(),
            seconds=time.monotonic() - self._start if self._records else None,
            note=f"Stopped before the end: {left:,} more were to be done." if left else "",
        )
        try:
            with self._messages.progress(len(records)) as show:
                write_report(self._file, records, heading, on_progress=show)
        except EditarError as error:
            self._messages.error(str(error))
            return False
        self._messages.info(f"report: {self._file}")
        return True
