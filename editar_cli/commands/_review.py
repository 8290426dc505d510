"""``--report`` and ``--sheet``: what a run has done, gathered for what is written at its end."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from editar_cli.console import Messages
from editar_cli.errors import EditarError

if TYPE_CHECKING:
    from editar_cli.batch import Job, Plan
    from editar_cli.ledger import Ledger


class Review:
    """Gathers what a report or a contact sheet shows; does nothing where none is asked for.

    Args:
        plan: what the run is going to do.
        messages: where people are told.
        page: the report, or ``None``.
        sheet: the contact sheet, or ``None``.
        seed: the run's.
        ledger: knows how pictures that are skipped were made.
    """

    def __init__(
        self,
        plan: "Plan",
        messages: Messages,
        *,
        page: Path | None = None,
        sheet: Path | None = None,
        seed: int = 0,
        ledger: "Ledger | None" = None,
    ) -> None:
        self.facts: Mapping[str, object] = {}
        """Model and settings, once they are known."""
        self._page = page
        self._sheet = sheet
        self._seed = seed
        self._ledger = ledger
        self._plan = plan
        self._messages = messages
        self._records: list[tuple[Job, dict[str, object]]] = []
        self._earlier = 0
        """Pictures that were made before this run, or by another process during it."""
        self._start = time.monotonic()

    def extend(self, plan: "Plan") -> None:
        """More is going to be done."""
        if self._page is not None or self._sheet is not None:
            self._plan.add(plan)

    def add(self, job: "Job", record: dict[str, object]) -> None:
        """What became of one picture."""
        if self._page is not None or self._sheet is not None:
            self._records.append((job, record))

    def write(self) -> bool:
        """Write what was asked for.

        Returns:
            False where something could not be written, which is then told.
        """
        if self._page is None and self._sheet is None:
            return True
        from editar_cli.discovery import natural_key
        from editar_cli.report import shared_settings

        records = self._told()
        if not records:
            return True
        # No model was loaded where all had been made before.
        self.facts = self.facts or shared_settings(records)
        if self._plan.skipped:
            # To their places among the others.
            records.sort(key=lambda record: natural_key(f"{record['input']}\0{record['output']}"))
        written = True
        for file, write in ((self._page, self._write_page), (self._sheet, self._write_sheet)):
            if file is None:
                continue
            try:
                write(file, records)
            except EditarError as error:
                self._messages.error(str(error))
                written = False
        return written

    def _told(self) -> list[dict[str, object]]:
        """What is told of every picture; of one that was made before, what was told of it then."""
        every = [*self._records, *((job, job.record("skipped")) for job in self._plan.skipped)]
        strange = {id(job) for job in self._plan.strange}
        told = []
        for job, record in every:
            made = None
            if record["status"] == "skipped" and id(job) not in strange and self._ledger:
                made = self._ledger.record_of(job)
                self._earlier += made is not None
            told.append(made or record)
        return told

    def _write_page(self, file: Path, records: list[dict[str, object]]) -> None:
        """The report, with a note where pictures of the plan are missing."""
        from editar_cli.report import Heading, write_report

        left = len(self._plan.jobs) - len(self._records)
        heading = Heading(
            facts=self.facts,
            ended=datetime.now(),
            seconds=time.monotonic() - self._start if self._records else None,
            earlier=self._earlier,
            note=f"Stopped before the end: {left:,} more were to be done." if left else "",
        )
        with self._messages.progress(len(records)) as show:
            write_report(file, records, heading, on_progress=show)
        self._messages.info(f"report: {file}")

    def _write_sheet(self, file: Path, records: list[dict[str, object]]) -> None:
        from editar_cli.sheets import write_contact_sheet

        facts = [str(self.facts["model"])] if "model" in self.facts else []
        facts.append(f"seed {self._seed}")
        with self._messages.progress(len(records)) as show:
            pages = write_contact_sheet(file, records, facts=facts, on_progress=show)
        if not pages:
            self._messages.warning(f"no sheet {file}: no result to show")
        for page in pages:
            self._messages.info(f"sheet: {page}")
