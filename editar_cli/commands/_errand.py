"""What ``edit`` and ``translate`` make of their flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from editar_cli.ledger import Ledger

if TYPE_CHECKING:
    from editar_cli.batch import Plan, Ready
    from editar_cli.runners._runner import Making, Opening


class PlanMaker(Protocol):
    """``batch.plan_jobs`` with the words of a command line."""

    def __call__(self, *, ready: "Ready | None" = None) -> "Plan":
        """The plan as things are now."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A command whose flags are understood.

    Args:
        words: files, folders and globs, as the command line has them.
        make_plan: finds the pictures.
        opening: loads the model.
        making: how pictures are read and written.
        done: what pictures are when they are done, such as "edited".
        ledger: the plan is made with.
        in_place: inputs are replaced.
        most_failures: stop when so many have failed; ``None`` is never.
        rule_given: the command had ``--on-exists``.
    """

    words: Sequence[str]
    make_plan: PlanMaker
    opening: "Opening"
    making: "Making"
    done: str
    ledger: Ledger
    in_place: bool = False
    most_failures: int | None = None
    rule_given: bool = False
