"""What ``edit`` and ``translate`` share once the plan stands: the run and what is said of it."""

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from editar_cli.commands._review import Review
from editar_cli.console import Messages
from editar_cli.errors import UsageError

if TYPE_CHECKING:
    from editar_cli.batch import Job, Plan
    from editar_cli.images import ReadOptions
    from editar_cli.pipeline import Maker, Outcome


class Session(NamedTuple):
    """What a run works with.

    Args:
        maker: edits or translates.
        slots: pictures in the model at once.
        threads: that read and write beside it.
    """

    maker: "Maker[Any, Any]"
    slots: int
    threads: int


def ready_to_run(plan: "Plan", messages: Messages, *, json_lines: bool, dry_run: bool) -> bool:
    """Say what is planned; False where nothing is left to do.

    Raises:
        UsageError: two things would share standard output, a picture would go to a terminal, or no
            result could be written.
    """
    to_stdout = any(job.output is None for job in plan.jobs)
    if to_stdout and json_lines:
        raise UsageError("--json and a picture cannot share standard output; give -o FILE")
    if dry_run:
        _print_plan(plan, json_lines=json_lines)
        return False
    if to_stdout and sys.stdout.isatty():
        raise UsageError("the picture would be written to the terminal; give -o FILE or a pipe")
    from editar_cli.batch import refuse_unwritable

    refuse_unwritable(plan)
    for folder in plan.folders:
        messages.info(f"results go to {folder}/")
    if plan.captioned:
        messages.info(f"captions: {plan.captioned} from text files beside their pictures")
    if plan.skipped:
        messages.info(_skipped(plan))
    if json_lines:
        for job in plan.skipped:
            print(job.to_json("skipped"), flush=True)
    return bool(plan.jobs)


def run(
    plan: "Plan",
    open_session: Callable[[], Session],
    messages: Messages,
    *,
    verbs: tuple[str, str],
    format: str,
    json_lines: bool,
    most_failures: int | None,
    review: Review,
    read: "ReadOptions | None" = None,
    strip: bool = False,
    in_place: bool = False,
    rule_given: bool = False,
) -> None:
    """Do what is planned and tell what becomes of each picture.

    Args:
        plan: with at least one job.
        open_session: loads what is needed.
        messages: where people are told.
        verbs: such as ("editing", "edited").
        format: of results for standard output.
        json_lines: one line of JSON for each picture.
        most_failures: stop when so many have failed; ``None`` is never.
        review: told all, and written at the end whatever the end is.
        read: which pictures are refused.
        strip: write no metadata.
        in_place: inputs are replaced.
        rule_given: the command had ``--on-exists``.

    Raises:
        typer.Exit: with 1, where pictures failed.
    """
    from editar_cli.pipeline import run_jobs

    failures = 0

    def tell(outcome: "Outcome") -> None:
        nonlocal failures
        failures += outcome.error is not None
        review.add(outcome.record())
        _tell(outcome, messages, json_lines=json_lines)

    try:
        with messages.working("loading the model"):
            session = open_session()
        review.facts = session.maker.facts
        with messages.progress(len(plan.jobs)) as show:
            run_jobs(
                plan.jobs,
                session.maker,
                tell,
                slots=session.slots,
                threads=session.threads,
                format=format,
                read=read,
                strip=strip,
                doing=verbs[0],
                most_failures=most_failures,
                on_progress=show,
                on_fewer_slots=lambda n: messages.warning(
                    f"memory ran out: going on with {n} pictures at once"
                ),
            )
    except KeyboardInterrupt:
        messages.info(how_to_go_on(in_place=in_place, rule_given=rule_given))
        raise
    finally:
        # Whatever the end is: a page of what is finished.
        reviewed = review.write()
    if failures:
        messages.error(f"{failures} of {len(plan.jobs)} pictures failed")
        raise typer.Exit(1)
    if len(plan.jobs) > 1:
        messages.info(f"{len(plan.jobs)} pictures {verbs[1]}")
    if not reviewed:
        raise typer.Exit(1)


def _skipped(plan: "Plan") -> str:
    first = plan.skipped[0].output_name
    count = len(plan.skipped)
    which = first if count == 1 else f"{count} outputs ({first}, ...)"
    return f"skipped: {which} already there; --overwrite replaces, -o names another place"


def _print_plan(plan: "Plan", *, json_lines: bool) -> None:
    for job in plan.jobs:
        print(job.to_json("planned") if json_lines else _in_words(job))
    for job in plan.skipped:
        print(
            job.to_json("skipped") if json_lines else f"{_in_words(job)} (already there, skipped)"
        )


def _in_words(job: "Job") -> str:
    mask = "" if job.mask is None else f" (mask {job.mask})"
    return f"{job.source_name} -> {job.output_name}{mask}"


def _tell(outcome: "Outcome", messages: Messages, *, json_lines: bool) -> None:
    # Flushed line by line: the reader of a pipe works on while we do.
    if json_lines:
        print(outcome.to_json(), flush=True)
    elif outcome.error is None and outcome.job.output is not None:
        print(outcome.job.output_name, flush=True)
    if outcome.error is not None:
        messages.error(outcome.error)
    else:
        messages.detail(f"{outcome.job.source_name}: {outcome.seconds:.1f} s, seed {outcome.seed}")
    for note in outcome.notes:
        messages.info(f"{outcome.job.source_name}: {note}")


def how_to_go_on(*, in_place: bool, rule_given: bool) -> str:
    """After Ctrl-C: the command that does the rest."""
    if in_place:
        return "stopped; what is finished is kept, and the same command would edit it once more"
    # The same command, with finished outputs skipped even if it said to replace them.
    words = ["editar", *(word for word in sys.argv[1:] if word != "--overwrite")]
    if rule_given:
        words += ["--on-exists", "skip"]
    return f"stopped; what is finished is kept. To go on: {shlex.join(words)}"
