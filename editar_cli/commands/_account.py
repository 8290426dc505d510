"""What becomes of pictures, told line by line and counted."""

import json
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from editar_cli.commands._review import Review
from editar_cli.console import Messages
from editar_cli.ledger import Ledger, Verdict

if TYPE_CHECKING:
    from editar_cli.batch import Job, Plan
    from editar_cli.pipeline import Outcome
    from editar_cli.runners._runner import Opened, Runner


class Account:
    """Tells people, standard output and the review what becomes of each picture.

    Args:
        messages: where people are told.
        review: told all.
        json_lines: one line of JSON for each picture, instead of the path of each result.
    """

    def __init__(self, messages: Messages, review: Review, *, json_lines: bool) -> None:
        self.messages = messages
        self.review = review
        self.json_lines = json_lines
        self.failed = 0
        self.skipped = 0
        """Done by another process when their turn came."""
        self.done = 0

    def open(self, runner: "Runner") -> "Opened":
        """Have the model loaded, with a sign of life, and tell what came of it."""
        with self.messages.working("loading the model"):
            opened = runner.open()
        self.review.facts = opened.facts
        for note in opened.notes:
            self.messages.info(note)
        places = ", ".join(filter(None, opened.places))
        self.messages.detail(f"{json.dumps(dict(opened.facts))}{places and f' on {places}'}")
        return opened

    def work(
        self, runner: "Runner", jobs: "Sequence[Job]", ledger: Ledger, most_failures: int | None
    ) -> None:
        """Have jobs done, with a bar.

        Args:
            runner: it is open.
            jobs: what to do, in order.
            ledger: keeps account of them; opened here.
            most_failures: stop when so many have failed, those of earlier calls included.

        Raises:
            EditarError: a folder cannot be written.
        """
        from editar_cli.pipeline import in_words
        from editar_cli.runners._runner import Listener

        for warning in ledger.open(jobs, self.review.facts):
            self.messages.warning(warning)
        with self.messages.progress(len(jobs)) as show:
            runner.run(
                jobs,
                Listener(
                    outcome=self.take,
                    progress=lambda done, stages: show(done, in_words(stages)),
                    warning=self.messages.warning,
                ),
                most_failures=None if most_failures is None else most_failures - self.failed,
            )

    def take(self, outcome: "Outcome") -> None:
        """What became of a picture."""
        failed = outcome.error is not None
        self.failed += failed
        self.skipped += outcome.skipped
        self.done += not failed and not outcome.skipped
        self.review.add(outcome.job, outcome.record())
        # Flushed line by line: the reader of a pipe works on while we do.
        if self.json_lines:
            print(outcome.to_json(), flush=True)
        elif not failed and not outcome.skipped and outcome.job.output is not None:
            print(outcome.job.output_name, flush=True)
        name = outcome.job.source_name
        if outcome.error is not None:
            self.messages.error(outcome.error)
        elif outcome.skipped:
            self.messages.detail(f"{name}: done by another process meanwhile")
        else:
            self.messages.detail(f"{name}: {outcome.seconds:.1f} s, seed {outcome.seed}")
        for note in outcome.notes:
            self.messages.info(f"{name}: {note}")

    def in_words(self, done: str) -> str:
        """What has become of pictures so far.

        Args:
            done: what they are when they are done, such as "edited".
        """
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} picture{'' if self.done == 1 else 's'} {done}{failed}"


def tell_plan(
    plan: "Plan", messages: Messages, *, json_lines: bool, ledger: Ledger | None = None
) -> None:
    """Say what a plan leaves out and what it does again."""
    if plan.captioned:
        messages.info(f"captions: {plan.captioned} from text files beside their pictures")
    if plan.elsewhere:
        here = len(plan.jobs) + len(plan.skipped)
        messages.info(f"{here} of {here + plan.elsewhere} pictures are in this shard")
    if plan.skipped:
        which = _some(plan.skipped)
        messages.info(
            f"skipped: {which} already there; --overwrite replaces, -o names another place"
        )
    if plan.strange:
        strange = _some(plan.strange)
        messages.warning(f"left as they are, though made of other pictures: {strange}")
    for verdict, jobs in plan.again.items():
        messages.info(f"again: {_some(jobs)}, because of {_reason(verdict, jobs[0], ledger)}")
    if json_lines:
        for job in plan.skipped:
            print(job.to_json("skipped"), flush=True)


def _some(jobs: "Sequence[Job]") -> str:
    if len(jobs) == 1:
        return jobs[0].output_name
    return f"{len(jobs)} outputs ({jobs[0].output_name}, ...)"


def _reason(verdict: Verdict, job: "Job", ledger: Ledger | None) -> str:
    names: Sequence[str] = ()
    if ledger is not None and verdict is Verdict.OTHER_SETTINGS:
        names = ledger.differences(job)
    return f"{verdict.value} ({', '.join(names)})" if names else verdict.value


def how_to_go_on(*, in_place: bool, rule_given: bool) -> str:
    """After Ctrl-C: the command that does the rest."""
    if in_place:
        return "stopped; what is finished is kept, and the same command would edit it once more"
    # The same command, with finished outputs skipped even if it said to replace them.
    words = ["editar", *(word for word in sys.argv[1:] if word != "--overwrite")]
    if rule_given:
        words += ["--on-exists", "skip"]
    return f"stopped; what is finished is kept. To go on: {shlex.join(words)}"
