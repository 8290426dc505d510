"""``editar bench pie-bench``: the benchmark of the paper's editing table."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from editar_cli import options
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import with_groups
from editar_cli.geometry import Fit

if TYPE_CHECKING:
    from editar_cli.benchmarks.pie_data import PieCase

_NETWORKS = ("structure", "lpips", "clip")


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
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Pictures, tables and results.json."),
    ] = Path("runs/pie-bench"),
    score_only: Annotated[
        Path | None,
        typer.Option(
            "--score-only",
            metavar="DIR",
            help="Score the pictures in a folder, whatever made them; no model is loaded.",
        ),
    ] = None,
    metric_weights: Annotated[
        list[str] | None,
        typer.Option(
            "--metric-weights",
            metavar="NAME=PATH",
            help="Weights of structure, lpips or clip, instead of the hub's; may be repeated.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin again where the folder holds a run.")
    ] = False,
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
    weights = _weights(metric_weights or [])

    from editar_cli.benchmarks.miniature import HEADING, write_miniature
    from editar_cli.benchmarks.pie_bench import HEADERS, Networks, PieResult, score, table
    from editar_cli.benchmarks.pie_data import read_pie_bench
    from editar_cli.benchmarks.pie_report import write_pie_results
    from editar_cli.benchmarks.report import RESULTS

    folder = data or _found()
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
    facts: dict[str, Any] = {"title": title, "data": str(folder), "seed": seed}
    if score_only is not None:
        if not score_only.is_dir():
            raise UsageError(f"--score-only {score_only}: no such folder")
        if (output / RESULTS).exists() and not overwrite:
            raise UsageError(f"{output / RESULTS}: is already there; --overwrite replaces it")
        outputs = score_only
        facts["score_only"] = str(score_only)
    else:
        outputs = output / "output"
        facts |= _make(
            cases, folder, output, messages, sampling, models, seed, fit, preserve, overwrite
        )
    networks = Networks(weights)
    rows = []
    with messages.progress(len(cases)) as show:
        for row in score(cases, folder, outputs, networks):
            rows.append(row)
            show(len(rows), "scoring")
    for name, why in networks.missing.items():
        messages.warning(f"{name}: {why}")
    for row in rows:
        if row.error is not None:
            messages.error(row.error)
    result = PieResult(rows=rows, missing=networks.missing)
    output.mkdir(parents=True, exist_ok=True)
    seconds = round(time.perf_counter() - start, 1)
    write_pie_results(output, folder, outputs, result, {**facts, "seconds": seconds})
    messages.info(title)
    messages.table(HEADERS, table(result))
    messages.info(f"the whole of it: {output / 'report.html'}")
    means = {name: mean.mean for name, mean in result.means().items()}
    failed = sum(row.error is not None for row in rows)
    summary = {
        "benchmark": "pie-bench",
        "title": title,
        "edits": len(rows),
        "failed": failed,
        "means": {k: "inf" if v == float("inf") else v for k, v in means.items()},
        "missing": sorted(networks.missing),
        "seconds": seconds,
        "output": str(output),
    }
    print(json.dumps(summary, ensure_ascii=False))
    if failed:
        raise typer.Exit(1)


def _found() -> Path | None:
    """PIE-Bench where it usually lies."""
    named = os.environ.get("EDITAR_DATA")
    places = [Path(named) / "PIE-Bench"] if named else []
    places += sorted(Path().glob("PIE-Bench*"))
    return next((place for place in places if (place / "mapping_file.json").is_file()), None)


def _weights(words: list[str]) -> dict[str, Path]:
    weights = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in _NETWORKS or not path:
            raise UsageError(
                f"--metric-weights {word}: must be NAME=PATH with NAME one of "
                f"{', '.join(_NETWORKS)}"
            )
        if not Path(path).exists():
            raise UsageError(f"--metric-weights {word}: no such file or folder")
        weights[name] = Path(path)
    return weights


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
) -> dict[str, object]:
    """Make what is not made yet; what the pictures were made with.

    Raises:
        UsageError: the folder holds pictures made with other settings.
    """
    from editar_cli.benchmarks.pie_bench import edit_jobs
    from editar_cli.benchmarks.report import bundle_sums
    from editar_cli.editor import Editor, EditSession, threads_beside
    from editar_cli.images import write_image
    from editar_cli.pipeline import Outcome, run_jobs

    with messages.working("loading the model"):
        editor = Editor.load(
            models.model,
            device=models.device,
            dtype=models.dtype.value,
            quantize=models.quantize.value,
        )
    chosen = editor.options(
        **sampling.given,
        size="source" if preserve else "model",
        fit=None if fit is None else fit.value,
        preserve=preserve,
    )
    session = EditSession(editor, chosen, seed=seed)
    facts = {"settings": dict(session.facts), "bundle": bundle_sums(editor.bundle.path)}
    settings = run / "settings.json"
    text = json.dumps({**facts, "seed": seed}, indent=1) + "\n"
    if settings.is_file() and not overwrite and settings.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{run}: holds pictures made with other settings (see {settings}); choose another "
            "folder, or --overwrite"
        )
    jobs = edit_jobs(cases, data, run)
    if overwrite:
        todo = jobs
    else:
        todo = [job for job in jobs if job.output is None or not job.output.is_file()]
    write_image(settings, text.encode())
    if len(todo) < len(jobs):
        messages.info(f"{len(jobs) - len(todo)} of {len(jobs)} pictures are there already")

    def tell(outcome: Outcome) -> None:
        if outcome.error is not None:
            messages.error(outcome.error)

    with messages.progress(len(todo)) as show:
        run_jobs(
            todo,
            session,
            tell,
            slots=models.at_once or editor.engine.slots(chosen.sampling),
            threads=threads_beside(editor.bundle.device),
            format="png",
            on_progress=show,
        )
    return facts
