"""``editar bench folder``: any results, scored."""

import time
from pathlib import Path
from typing import Annotated

import typer

from editar_cli import options
from editar_cli.commands._scored import (
    AgainOption,
    MetricWeightsOption,
    ResultsOption,
    finish,
    metric_weights,
    scored,
)
from editar_cli.commands.map_bench import MODES
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import with_groups


def _folder(flag: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(flag, metavar="DIR", help=what)
    return option


@with_groups
def folder_bench(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of pictures.")],
    output: ResultsOption = Path("runs/folder"),
    sources: Annotated[
        Path | None, _folder("--sources", "What results were made of, by the same names.")
    ] = None,
    masks: Annotated[
        Path | None, _folder("--masks", "White where a source might change; with --sources.")
    ] = None,
    targets: Annotated[
        Path | None, _folder("--targets", "What results should look like, by the same names.")
    ] = None,
    prompts: Annotated[
        Path | None, _folder("--prompts", "Text files of what results should show.")
    ] = None,
    maps: Annotated[
        Path | None, _folder("--maps", "Maps that results should follow; with --mode.")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option("--mode", metavar="NAME", help=f"Kind of the maps: {', '.join(MODES)}."),
    ] = None,
    photos: Annotated[
        Path | None, _folder("--photos", "Photographs for FID. Default: --targets.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="CSV with the columns output, source, mask, target, map, prompt, as far as they "
            "are needed, instead of equal names.",
        ),
    ] = None,
    weights: MetricWeightsOption = None,
    device: options.DeviceOption = "cpu",
    overwrite: AgainOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Score a folder of results against sources, masks, targets, prompts, maps or photographs.

    \b
      editar bench folder out/ --sources in/ --masks masks/ --prompts texts/ -o runs/mine
      editar bench folder out/ --maps edges/ --mode canny --photos real/
      editar bench folder out/ --table pairs.csv

    The last line on standard output is the summary as JSON.
    """
    start = time.perf_counter()
    messages = Messages(quiet=quiet)
    named = {"source": sources, "mask": masks, "target": targets, "map": maps}
    given = {part: folder for part, folder in named.items() if folder is not None}
    if table is not None and (given or prompts is not None):
        raise UsageError(
            "--table names everything: leave out --sources, --masks, --targets, --maps and "
            "--prompts"
        )
    if masks is not None and sources is None:
        raise UsageError("--masks: say what is kept of a source; give --sources")
    if maps is not None and mode is None:
        raise UsageError(f"--maps: give --mode with it: {', '.join(MODES)}")
    if mode is not None and mode not in MODES:
        raise UsageError(f"--mode {mode}: must be one of {', '.join(MODES)}")

    from editar_cli.benchmarks.folder import FolderScores, match_names, read_table
    from editar_cli.benchmarks.networks import NAMES, Networks
    from editar_cli.benchmarks.report import RESULTS
    from editar_cli.benchmarks.results import Result
    from editar_cli.editor import choose_device

    networks = Networks(metric_weights(weights, NAMES), str(choose_device(device)))
    if (output / RESULTS).exists() and not overwrite:
        raise UsageError(f"{output / RESULTS}: is already there; --overwrite replaces it")
    if table is None:
        cases = match_names(results, given, prompts)
    else:
        cases = read_table(table, results)
        if mode is None and any(case.map is not None for case in cases):
            raise UsageError(f"--table {table}: has maps; give --mode: {', '.join(MODES)}")
    scores = FolderScores(cases, networks, mode=mode, photos=photos)
    rows = scored(scores.rows(), len(cases), messages)
    result = Result(
        benchmark="folder",
        title=f"Results in {results}",
        label=results.name or str(results),
        columns=scores.columns,
        rows=rows,
        whole=scores.whole(),
        missing=networks.missing,
    )
    facts = {
        "data": str(results),
        "compared_with": {part: str(folder) for part, folder in given.items()},
        "prompts": None if prompts is None else str(prompts),
        "photos": None if photos is None else str(photos),
        "table": None if table is None else str(table),
        "mode": mode,
    }
    finish(result, networks, output, facts, messages, start)
