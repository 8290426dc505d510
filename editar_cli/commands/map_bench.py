"""``editar bench canny``, ``depth`` and ``segmentation``: pictures from maps, scored."""

import time
from collections.abc import Callable
from importlib import import_module
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

if TYPE_CHECKING:
    from editar_cli.benchmarks.hub_data import MapCase
    from editar_cli.benchmarks.maps import MapBenchmark

MODES = ("canny", "depth", "segmentation")

_ABOUT = {
    "canny": "Make pictures from edges and measure how well their edges agree.",
    "depth": "Make pictures from depth maps and measure how well their depth agrees.",
    "segmentation": "Make pictures from maps of regions and measure how well their classes agree.",
}


def command(mode: str) -> Callable[..., None]:
    """The command of one benchmark of maps."""

    @with_groups
    def map_bench(
        data: Annotated[
            Path | None,
            typer.Option(
                "--data",
                metavar="DIR",
                help="The data set as the hub has it, or as datasets saved it. Default: "
                "$EDITAR_DATA/NAME, ./NAME*.",
            ),
        ] = None,
        output: ResultsOption = Path(f"runs/{mode}"),
        score_only: ScoreOnlyOption = None,
        layout: LayoutOption = None,
        weights: MetricWeightsOption = None,
        pictures: Annotated[
            int | None,
            typer.Option(
                "--pictures", metavar="N", min=2, help="The first N only: for a quick look."
            ),
        ] = None,
        overwrite: AgainOption = False,
        seed: options.SeedOption = 0,
        quiet: options.QuietOption = False,
        *,
        sampling: options.SamplingOptions,
        models: options.ModelOptions,
    ) -> None:
        start = time.perf_counter()
        messages = Messages(quiet=quiet)

        from editar_cli.benchmarks.hub_data import is_data, unpack
        from editar_cli.benchmarks.layouts import Outputs, choose_layout
        from editar_cli.benchmarks.maps import Scores, named
        from editar_cli.benchmarks.networks import Networks
        from editar_cli.benchmarks.results import OUTPUTS, Result

        benchmark: MapBenchmark = import_module(f"editar_cli.benchmarks.{mode}").BENCHMARK
        networks = Networks(metric_weights(weights, benchmark.networks))
        if layout is not None and score_only is None:
            raise UsageError(f"--layout {layout}: is about the folder of --score-only")
        folder = data or usual_place(benchmark.data.folder, is_data)
        if folder is None:
            raise UsageError(
                f"bench {mode} needs the data set {benchmark.data.repository} (some GB): "
                f"{benchmark.data.how_to_get}"
            )
        with messages.progress(pictures or 5000) as show:
            cases = unpack(benchmark.data, folder, output / "data", most=pictures, on_progress=show)
        facts: dict[str, Any] = {"data": str(folder), "seed": seed, "first": pictures}
        if score_only is not None:
            outputs = others_outputs(score_only, "maps", layout, named(cases), output, overwrite)
            facts |= {"score_only": str(score_only), "layout": outputs.layout.name}
            label = score_only.name
        else:
            made = _make(benchmark, cases, output, messages, sampling, models, seed, overwrite)
            facts |= made
            place = output / OUTPUTS
            outputs = Outputs(place, choose_layout(place, "maps", "plain"), named(cases))
            label = f"editar, {made['settings']['model']}"
        scores = Scores(benchmark, cases, outputs, networks, output)
        rows = scored(scores.rows(), len(cases), messages)
        few = f", the first {len(cases)} pictures: not comparable with published figures"
        result = Result(
            benchmark=mode,
            title=benchmark.title + ("" if pictures is None else few),
            label=label,
            columns=benchmark.columns,
            rows=rows,
            whole=scores.whole(),
            missing=networks.missing,
            published=benchmark.published,
        )
        finish(result, networks, output, facts, messages, start)

    map_bench.__doc__ = (
        f"{_ABOUT[mode]}\n\n    \b\n      editar bench {mode} --data DIR -o runs/{mode}\n"
        f"      editar bench {mode} --data DIR --score-only their-output/ -o runs/theirs\n\n"
        "    The last line on standard output is the summary as JSON."
    )
    return map_bench


def _make(
    benchmark: "MapBenchmark",
    cases: "list[MapCase]",
    run: Path,
    messages: Messages,
    sampling: options.SamplingOptions,
    models: options.ModelOptions,
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Make what is not made yet; what the pictures were made with.

    Raises:
        UsageError: the folder holds pictures made with other settings.
    """
    from editar_cli.benchmarks.maps import map_jobs, session_of

    with messages.working("loading the model"):
        editor = models.load()
    chosen = editor.options(
        **sampling.given,
        size="model",
        # As the published model prepares pictures, and as all are compared.
        fit="crop",
        translating=True,
    )
    return make_pictures(
        map_jobs(cases, run),
        session_of(benchmark, editor, chosen, seed=seed),
        editor,
        run,
        messages,
        seed=seed,
        slots=models.at_once or editor.engine.slots(chosen.sampling),
        again=overwrite,
        doing="translating",
    )
