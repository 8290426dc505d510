"""What ``edit`` and ``translate`` share once their flags are understood: plan, run and tell."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from editar_cli.commands._account import Account, how_to_go_on, tell_plan
from editar_cli.commands._errand import Errand
from editar_cli.commands._review import Review
from editar_cli.commands._watch import watch
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import Group
from editar_cli.ledger import Ledger
from editar_cli.options import InputOptions, OutputOptions, RunOptions, TalkOptions

if TYPE_CHECKING:
    from editar_cli.batch import Job, Plan
    from editar_cli.runners._runner import Runner


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


def carry_out(
    errand: Errand,
    *,
    inputs: InputOptions,
    outputs: OutputOptions,
    running: RunOptions,
    talk: TalkOptions,
    check: Callable[["Plan"], None] = lambda plan: None,
) -> None:
    """Plan, run and tell; with ``--watch`` until it is stopped.

    Args:
        errand: what to do.
        inputs, outputs, running, talk: flags of the command.
        check: refuses a plan that other flags do not go with.

    Raises:
        typer.Exit: with 1, where pictures failed or a page could not be written.
    """
    messages = talk.messages

    def account_of(plan: "Plan") -> Account:
        review = Review(
            plan,
            messages,
            page=outputs.report,
            sheet=outputs.sheet,
            seed=running.seed,
            ledger=errand.ledger,
        )
        return Account(messages, review, json_lines=talk.json_lines)

    def runner() -> "Runner":
        from editar_cli.runners.local import Local

        return Local(errand.opening, errand.making, errand.ledger)

    if inputs.watch and not running.dry_run:
        from editar_cli.batch import Plan

        # What is wrong with the command line is told now.
        check(errand.make_plan(ready=lambda there: ()))
        watch(runner(), account_of(Plan()), errand)
        return
    plan = errand.make_plan(ready=(lambda there: there) if inputs.watch else None)
    check(plan)
    account = account_of(plan)
    if ready_to_run(
        plan,
        messages,
        json_lines=talk.json_lines,
        dry_run=running.dry_run,
        ledger=errand.ledger,
    ):
        run(plan, runner(), account, errand)
    elif not running.dry_run and not account.review.write():
        raise typer.Exit(1)


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
    tell_plan(plan, messages, json_lines=json_lines, ledger=ledger)
    return bool(plan.jobs)


def run(plan: "Plan", runner: "Runner", account: Account, errand: Errand) -> None:
    """Do what is planned and tell what becomes of each picture.

    Args:
        plan: has jobs.
        runner: does them; it is opened and closed here.
        account: told all; its review is written at the end, whatever the end is.
        errand: the command.

    Raises:
        typer.Exit: with 1, where pictures failed.
    """
    messages, jobs = account.messages, plan.jobs
    try:
        account.open(runner)
        account.work(runner, jobs, errand.ledger, errand.most_failures)
    except KeyboardInterrupt:
        again = errand.in_place and any(job.home is None for job in jobs)
        messages.info(how_to_go_on(in_place=again, rule_given=errand.rule_given))
        raise
    finally:
        runner.close()
        errand.ledger.close()
        # Whatever the end is: a page of what is finished.
        reviewed = account.review.write()
    if account.failed:
        messages.error(f"{account.failed} of {len(jobs)} pictures failed")
        raise typer.Exit(1)
    if account.skipped:
        messages.info(f"skipped: {account.skipped} done by another process meanwhile")
    if len(jobs) > 1:
        messages.info(f"{len(jobs) - account.skipped} pictures {errand.done}")
    if not reviewed:
        raise typer.Exit(1)


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
