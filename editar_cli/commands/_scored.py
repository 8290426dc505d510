"""What benchmarks share that make pictures of a data set, or find them, and score them."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from editar_cli.console import Messages
from editar_cli.errors import UsageError

if TYPE_CHECKING:
    from editar_cli.batch import Job
    from editar_cli.benchmarks.layouts import Case, Kind, Outputs
    from editar_cli.benchmarks.networks import Networks
    from editar_cli.benchmarks.results import Result, Row
    from editar_cli.editor import Editor
    from editar_cli.pipeline import Maker, Outcome

ResultsOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Pictures, tables and results.json."),
]
ScoreOnlyOption = Annotated[
    Path | None,
    typer.Option(
        "--score-only",
        metavar="DIR",
        help="Score the pictures in a folder, whatever made them; no model is loaded.",
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="How the folder of --score-only is laid out: a program's name, or plain. Default: "
        "found out.",
    ),
]
MetricWeightsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric-weights",
        metavar="NAME=PATH",
        help="Weights of a metric's network, instead of the hub's; may be repeated.",
    ),
]
AgainOption = Annotated[
    bool, typer.Option("--overwrite", help="Begin again where the folder holds a run.")
]


def metric_weights(words: Sequence[str] | None, names: Sequence[str]) -> dict[str, Path]:
    """What ``--metric-weights`` says.

    Raises:
        UsageError: an unknown network, or no such file or folder.
    """
    weights = {}
    for word in words or ():
        name, _, path = word.partition("=")
        if name not in names or not path:
            raise UsageError(
                f"--metric-weights {word}: must be NAME=PATH with NAME one of {', '.join(names)}"
            )
        if not Path(path).exists():
            raise UsageError(f"--metric-weights {word}: no such file or folder")
        weights[name] = Path(path)
    return weights


def usual_place(name: str, is_there: Callable[[Path], bool]) -> Path | None:
    """A data set where it usually lies: ``$EDITAR_DATA/NAME``, then ``./NAME*``."""
    home = os.environ.get("EDITAR_DATA")
    places = [Path(home) / name] if home else []
    places += sorted(Path().glob(f"{name}*"))
    return next((place for place in places if is_there(place)), None)


def others_outputs(
    folder: Path, kind: "Kind", layout: str | None, cases: "Sequence[Case]", run: Path, again: bool
) -> "Outputs":
    """The pictures of ``--score-only``.

    Raises:
        UsageError: they cannot be found, or the run's folder holds results.
    """
    from editar_cli.benchmarks.layouts import Outputs, choose_layout
    from editar_cli.benchmarks.report import RESULTS

    chosen = choose_layout(folder, kind, layout)
    if (run / RESULTS).exists() and not again:
        raise UsageError(f"{run / RESULTS}: is already there; --overwrite replaces it")
    return Outputs(folder, chosen, cases)


def make_pictures(
    jobs: "Sequence[Job]",
    maker: "Maker[Any, Any]",
    editor: "Editor",
    run: Path,
    messages: Messages,
    *,
    seed: int,
    slots: int,
    again: bool,
    doing: str,
) -> dict[str, object]:
    """Make the pictures that are not there yet; what they were made with.

    Args:
        jobs: all pictures of the run.
        maker: with its options fixed.
        editor: whose model it uses.
        run: the run's folder.
        messages: where people are told.
        seed: the run's.
        slots: pictures in the model at once.
        again: make all of them, whatever is there.
        doing: what is going on, in a word.

    Raises:
        UsageError: the folder holds pictures made with other settings.
    """
    from editar_cli.benchmarks.report import bundle_sums
    from editar_cli.editor import threads_beside
    from editar_cli.images import write_image
    from editar_cli.pipeline import in_words, run_jobs

    facts = {"settings": dict(maker.facts), "bundle": bundle_sums(editor.bundle.path)}
    settings = run / "settings.json"
    text = json.dumps({**facts, "seed": seed}, indent=1) + "\n"
    if settings.is_file() and not again and settings.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{run}: holds pictures made with other settings (see {settings}); choose another "
            "folder, or --overwrite"
        )
    todo = [job for job in jobs if again or job.output is None or not job.output.is_file()]
    write_image(settings, text.encode())
    if len(todo) < len(jobs):
        messages.info(f"{len(jobs) - len(todo)} of {len(jobs)} pictures are there already")

    def tell(outcome: "Outcome") -> None:
        if outcome.error is not None:
            messages.error(outcome.error)

    with messages.progress(len(todo)) as show:
        run_jobs(
            todo,
            maker,
            tell,
            slots=slots,
            threads=threads_beside(editor.bundle.device),
            format="png",
            doing=doing,
            on_progress=lambda done, stages: show(done, in_words(stages)),
        )
    return facts


def scored(rows: "Iterable[Row]", count: int, messages: Messages) -> "list[Row]":
    """All rows, as they are scored one by one."""
    found = []
    with messages.progress(count) as show:
        for row in rows:
            found.append(row)
            show(len(found), "scoring")
    return found


def finish(
    result: "Result",
    networks: "Networks",
    run: Path,
    facts: Mapping[str, object],
    messages: Messages,
    start: float,
) -> None:
    """Write what a benchmark leaves, and say what it found.

    Args:
        result: all of it.
        networks: of the figures.
        run: the run's folder.
        facts: settings and identities.
        messages: where people are told.
        start: of ``time.perf_counter`` when the run began.

    Raises:
        typer.Exit: with 1, where pictures could not be scored.
    """
    from editar_cli.benchmarks.results import (
        REPORT,
        headers,
        summary,
        table,
        write_results,
    )

    for name, why in networks.missing.items():
        messages.warning(f"{name}: {why}")
    for row in result.rows:
        if row.error is not None:
            messages.error(row.error)
    run.mkdir(parents=True, exist_ok=True)
    seconds = round(time.perf_counter() - start, 1)
    with messages.working("writing the report"):
        write_results(run, result, {**facts, "seconds": seconds})
    messages.info(result.title)
    messages.table(headers(result), table(result))
    messages.info(f"the whole of it: {run / REPORT}")
    print(json.dumps({**summary(result), "seconds": seconds, "output": str(run)},
                     ensure_ascii=False))  # fmt: skip
    if result.failed:
        raise typer.Exit(1)
