"""What ``edit`` and ``translate`` share once the plan stands: the run and what is said of it."""

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from editar_cli.commands._review import Review
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import Group
from editar_cli.ledger import Ledger, Verdict

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


def settings_of(
    groups: Sequence[Group],
    flags: Mapping[str, object],
    *,
    model: str | None,
    translating: bool = False,
) -> dict[str, object]:
    """What results depend on beside picture, text and seed, found out without loading a model.

    Args:
        groups: flags of the command that come in groups.
        flags: its others, as far as they are given.
        model: its name or folder, or ``None`` for none.
        translating: for ``translate``.

    Raises:
        ModelError: the model is not there.
    """
    settings: dict[str, object] = {}
    if model is not None:
        from editar_cli.checkpoints.registry import model_settings, resolve_model

        settings.update(model_settings(resolve_model(model), translating=translating))
    for group in groups:
        settings.update(group.settings)
    settings.update(flags)
    # As they come back from the manifest.
    plain: dict[str, object] = json.loads(json.dumps(settings, default=str))
    return plain


def ready_to_run(
    plan: "Plan",
    messages: Messages,
    *,
    json_lines: bool,
    dry_run: bool,
    ledger: Ledger | None = None,
) -> bool:
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
    if plan.elsewhere:
        here = len(plan.jobs) + len(plan.skipped)
        messages.info(f"{here} of {here + plan.elsewhere} pictures are in this shard")
    if plan.skipped:
        messages.info(_skipped(plan))
    if plan.strange:
        strange = _some(plan.strange)
        messages.warning(f"left as they are, though made of other pictures: {strange}")
    for verdict, jobs in plan.again.items():
        messages.info(f"again: {_some(jobs)}, because of {_reason(verdict, jobs[0], ledger)}")
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
    ledger: Ledger | None = None,
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
        ledger: the plan was made with; it is closed at the end.
        in_place: inputs are replaced.
        rule_given: the command had ``--on-exists``.

    Raises:
        typer.Exit: with 1, where pictures failed.
    """
    from editar_cli.pipeline import run_jobs

    failures = 0
    skipped = 0
    ledger = ledger or Ledger()

    def tell(outcome: "Outcome") -> None:
        nonlocal failures, skipped
        failures += outcome.error is not None
        skipped += outcome.skipped
        review.add(outcome.job, outcome.record())
        _tell(outcome, messages, json_lines=json_lines)

    try:
        with messages.working("loading the model"):
            session = open_session()
        review.facts = session.maker.facts
        for warning in ledger.open(plan.jobs, session.maker.facts):
            messages.warning(warning)
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
                ledger=ledger,
                on_progress=show,
                on_fewer_slots=lambda n: messages.warning(
                    f"memory ran out: going on with {n} pictures at once"
                ),
            )
    except KeyboardInterrupt:
        again = in_place and any(job.home is None for job in plan.jobs)
        messages.info(how_to_go_on(in_place=again, rule_given=rule_given))
        raise
    finally:
        ledger.close()
        # Whatever the end is: a page of what is finished.
        reviewed = review.write()
    if failures:
        messages.error(f"{failures} of {len(plan.jobs)} pictures failed")
        raise typer.Exit(1)
    if skipped:
        messages.info(f"skipped: {skipped} done by another process meanwhile")
    if len(plan.jobs) > 1:
        messages.info(f"{len(plan.jobs) - skipped} pictures {verbs[1]}")
    if not reviewed:
        raise typer.Exit(1)


def _skipped(plan: "Plan") -> str:
    which = _some(plan.skipped)
    return f"skipped: {which} already there; --overwrite replaces, -o names another place"


def _some(jobs: "Sequence[Job]") -> str:
    if len(jobs) == 1:
        return jobs[0].output_name
    return f"{len(jobs)} outputs ({jobs[0].output_name}, ...)"


def _reason(verdict: Verdict, job: "Job", ledger: Ledger | None) -> str:
    names: Sequence[str] = ()
    if ledger is not None and verdict is Verdict.OTHER_SETTINGS:
        names = ledger.differences(job)
    return f"{verdict.value} ({', '.join(names)})" if names else verdict.value


def _print_plan(plan: "Plan", *, json_lines: bool) -> None:
    why = {
        id(job): f" (again: {verdict.value})"
        for verdict, jobs in plan.again.items()
        for job in jobs
    }
    for job in plan.jobs:
        text = f"{_in_words(job)}{why.get(id(job), '')}"
        print(job.to_json("planned") if json_lines else text)
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
    elif outcome.error is None and not outcome.skipped and outcome.job.output is not None:
        print(outcome.job.output_name, flush=True)
    if outcome.error is not None:
        messages.error(outcome.error)
    elif outcome.skipped:
        messages.detail(f"{outcome.job.source_name}: done by another process meanwhile")
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
