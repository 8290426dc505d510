"""``editar bench pie-bench``: the benchmark of the paper's editing table."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from editar_cli import options
from editar_cli.commands._scored import (
    AgainOption,
    LayoutOption,
    MetricWeightsOption,
    ResultsOption,
    ScoreOnlyOption,
    finish,
    make_pictures,
    metric_weights,
    others_outputs,
    scored,
    usual_place,
)
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import with_groups
from editar_cli.geometry import Fit

if TYPE_CHECKING:
    from editar_cli.benchmarks.pie_data import PieCase


@with_groups
def pie_bench(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="PIE-Bench: mapping_file.json and annotation_images/. Default: "
            "$EDITAR_DATA/PIE-Bench, ./PIE-Bench*, or else a miniature of our own.",
        ),
    ] = None,
    output: ResultsOption = Path("runs/pie-bench"),
    score_only: ScoreOnlyOption = None,
    layout: LayoutOption = None,
    weights: MetricWeightsOption = None,
    overwrite: AgainOption = False,
    seed: options.SeedOption = 0,
    fit: options.FitOption = None,
    preserve: Annotated[
        bool,
        typer.Option(
            "--preserve/--no-preserve",
            help="Carry the edit over to the source at its size: not the paper's protocol, which "
            "scores the model's bare square.",
        ),
    ] = False,
    quiet: options.QuietOption = False,
    *,
    sampling: options.SamplingOptions,
    models: options.ModelOptions,
) -> None:
    """Edit PIE-Bench's pictures and score what is kept and what is changed.

    \b
      editar bench pie-bench
      editar bench pie-bench --data PIE-Bench/ -o runs/mini
      editar bench pie-bench --data PIE-Bench/ --score-only their-output/ -o runs/theirs

    The last line on standard output is the summary as JSON.
    """
    start = time.perf_counter()
    messages = Messages(quiet=quiet)

    from editar_cli.benchmarks.layouts import Outputs, choose_layout
    from editar_cli.benchmarks.miniature import HEADING, write_miniature
    from editar_cli.benchmarks.networks import Networks
    from editar_cli.benchmarks.pie_bench import NETWORKS, named, result_of, score
    from editar_cli.benchmarks.pie_data import MAPPING, read_pie_bench
    from editar_cli.benchmarks.results import OUTPUTS

    networks = Networks(metric_weights(weights, NETWORKS))
    if layout is not None and score_only is None:
        raise UsageError(f"--layout {layout}: is about the folder of --score-only")
    folder = data or usual_place("PIE-Bench", lambda place: (place / MAPPING).is_file())
    title = "PIE-Bench"
    if folder is None:
        if score_only is not None:
            raise UsageError("--score-only: the pictures' sources are needed; give --data")
        title = HEADING
        messages.warning(HEADING)
        messages.info("the data set: https://github.com/cure-lab/PnPInversion, then --data DIR")
        folder = output / "miniature"
        write_miniature(folder)
    cases = read_pie_bench(folder)
    facts: dict[str, Any] = {"data": str(folder), "seed": seed}
    if score_only is not None:
        outputs = others_outputs(score_only, "edits", layout, named(cases), output, overwrite)
        facts |= {"score_only": str(score_only), "layout": outputs.layout.name}
        label = score_only.name
    else:
        made = _make(
            cases, folder, output, messages, sampling, models, seed, fit, preserve, overwrite
        )
        facts |= made
        outputs = Outputs(
            output / OUTPUTS, choose_layout(output / OUTPUTS, "edits", "plain"), named(cases)
        )
        label = f"editar, {made['settings']['model']}{', preserved' if preserve else ''}"
    rows = scored(score(cases, folder, outputs, networks), len(cases), messages)
    result = result_of(rows, networks, title=title, label=label)
    finish(result, networks, output, facts, messages, start)


def _make(
    cases: "list[PieCase]",
    data: Path,
    run: Path,
    messages: Messages,
    sampling: options.SamplingOptions,
    models: options.ModelOptions,
    seed: int,
    fit: Fit | None,
    preserve: bool,
    overwrite: bool,
) -> dict[str, Any]:
    """Make what is not made yet; what the pictures were made with.

    Raises:
        UsageError: the folder holds pictures made with other settings.
    """
    from editar_cli.benchmarks.pie_bench import edit_jobs
    from editar_cli.editor import EditSession

    with messages.working("loading the model"):
        editor = models.load()
    chosen = editor.options(
        **sampling.given,
        size="source" if preserve else "model",
        fit=None if fit is None else fit.value,
        preserve=preserve,
    )
    return make_pictures(
        edit_jobs(cases, data, run),
        EditSession(editor, chosen, seed=seed),
        editor,
        run,
        messages,
        seed=seed,
        slots=models.at_once or editor.engine.slots(chosen.sampling),
        again=overwrite,
        doing="editing",
    )
