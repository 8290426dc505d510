"""``--watch``: pictures that come into folders, one plan after another."""

import time
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from editar_cli.commands._account import Account, how_to_go_on, tell_plan
from editar_cli.commands._errand import Errand
from editar_cli.console import span
from editar_cli.errors import EditarError
from editar_cli.watching import Watch

if TYPE_CHECKING:
    from editar_cli.batch import Plan
    from editar_cli.runners._runner import Runner


def watch(runner: "Runner", account: Account, errand: Errand) -> None:
    """Do what comes into folders, until Ctrl-C or too many failures.

    Args:
        runner: does jobs; it is opened once, and closed here.
        account: told all; its review is written at the end.
        errand: the command.

    Raises:
        typer.Exit: with 1, where too many pictures have failed.
    """
    messages, folders = account.messages, ", ".join(errand.words)
    arrivals = _Arrivals(errand, account)
    most = errand.most_failures
    start = time.monotonic()
    told: set[Path] = set()

    def sum_up() -> None:
        counts = account.in_words(errand.done)
        messages.info(f"watched {folders} for {span(time.monotonic() - start)}: {counts}")

    try:
        account.open(runner)
        messages.info(f"watching {folders}; Ctrl-C ends it")
        while most is None or account.failed < most:
            plan = arrivals.wait()
            for folder in (folder for folder in plan.folders if folder not in told):
                messages.info(f"results go to {folder}/")
            told.update(plan.folders)
            account.review.extend(plan)
            tell_plan(plan, messages, json_lines=account.json_lines, ledger=errand.ledger)
            if plan.jobs:
                account.work(runner, plan.jobs, errand.ledger, most)
            arrivals.settle()
        sum_up()
        raise typer.Exit(1)
    except KeyboardInterrupt:
        sum_up()
        messages.info(how_to_go_on(in_place=False, rule_given=errand.rule_given))
        raise
    finally:
        runner.close()
        errand.ledger.close()
        account.review.write()


class _Arrivals:
    """Plans for what has come in and come to rest.

    What the command line does not go with, such as a second picture for the same output, is told
    and left; it is looked at again with every plan.

    Args:
        errand: the command.
        account: told what is planned, and what cannot be.
    """

    def __init__(self, errand: Errand, account: Account) -> None:
        self._errand = errand
        self._account = account
        self._watch = Watch()
        self._files: list[Path] = []
        """What the last plan is about."""
        self._complaints: set[str] = set()
        """Of the last look, so that each is told once."""

    def wait(self) -> "Plan":
        """Look until there is something to be planned."""
        with self._account.messages.working("watching") as say:
            while True:
                plan = self._look()
                if self._files:
                    return plan
                restless = self._watch.restless
                more = f", {restless} not yet at rest" if restless else ""
                say(f"watching: {self._account.in_words(self._errand.done)}{more}")
                time.sleep(self._watch.pause)

    def settle(self) -> None:
        """The last plan has been carried out."""
        self._watch.settle(self._files, replaced=self._errand.in_place)
        self._files = []

    def _look(self) -> "Plan":
        from editar_cli.batch import Plan

        ready: Sequence[Path] = ()

        def look(there: Sequence[Path]) -> Collection[Path]:
            nonlocal ready
            ready = self._watch.look(there)
            return ready

        before, self._complaints = self._complaints, set()
        plan = Plan()
        try:
            self._errand.ledger.look_again()
            plan = self._errand.make_plan(ready=look)
            self._files = list(ready)
        except EditarError as error:
            if ready:
                plan = self._piecemeal(ready)
            else:
                # The folder itself has gone, or cannot be read at the moment.
                self._complaints.add(str(error))
        for complaint in sorted(self._complaints - before):
            self._account.messages.warning(complaint)
        return plan

    def _piecemeal(self, files: Sequence[Path]) -> "Plan":
        """A plan for those of the files that one can be made for."""
        from editar_cli.batch import Plan

        def plan_of(part: Sequence[Path]) -> "Plan":
            return self._errand.make_plan(ready=lambda there: part)

        whole = Plan()
        parts = deque([files])
        while parts:
            part = parts.popleft()
            try:
                plan = plan_of(part)
            except EditarError as error:
                if len(part) == 1:
                    self._complaints.add(str(error))
                    continue
            else:
                if whole.add(plan):
                    self._files += part
                    continue
                if len(part) == 1:
                    # Its turn comes when the other picture with this output is done.
                    continue
            half = len(part) // 2
            parts.extendleft((part[half:], part[:half]))
        return whole
