"""``editar bench``: figures that judge a model."""

import json
import sys
import time
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from editar_cli import options
from editar_cli.config import SamplingConfig
from editar_cli.console import Messages, ProgressCallback
from editar_cli.errors import EditarError, ImageError, UsageError

bench_app = typer.Typer(
    help="Judge a model by figures.", no_args_is_help=True, rich_markup_mode=None
)


class Wording(StrEnum):
    """Which sentences the model is asked with."""

    HELD_OUT = "held-out"
    TRAINING = "training"


@bench_app.callback()
def _group() -> None:
    """Judge a model by figures."""


@bench_app.command("mini")
def mini(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder of photographs kept out.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="results.json, rows.csv, table.md and sheet.png."
        ),
    ],
    photos: Annotated[
        int, typer.Option("--photos", metavar="N", min=1, help="At most so many, evenly spaced.")
    ] = 40,
    keep_out_every: Annotated[
        int | None,
        typer.Option(
            "--keep-out-every",
            metavar="N",
            min=2,
            help="The folder is the training one: take what training with this number left out.",
        ),
    ] = None,
    families: Annotated[
        str | None,
        typer.Option("--families", metavar="NAME,...", help="Kinds of edit. Default: all."),
    ] = None,
    wording: Annotated[
        Wording,
        typer.Option("--wording", help="Sentences kept out of training, or those of training."),
    ] = Wording.HELD_OUT,
    truth_draws: Annotated[
        int,
        typer.Option(
            "--truth-draws",
            metavar="N",
            min=1,
            help="Truths made where an edit is random; the nearest counts.",
        ),
    ] = 4,
    side: Annotated[
        int,
        typer.Option(
            "--side", metavar="PX", min=32, help="Photographs are reduced to this long side."
        ),
    ] = 512,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are already there.")
    ] = False,
    seed: options.SeedOption = 0,
    guidance: options.GuidanceOption = None,
    temperature: options.TemperatureOption = None,
    top_k: options.TopKOption = None,
    top_p: options.TopPOption = None,
    guidance_interval: options.GuidanceIntervalOption = None,
    fit: options.FitOption = None,
    preserve: options.PreserveOption = True,
    model: options.ModelOption = "mini",
    device: options.DeviceOption = "auto",
    dtype: options.DTypeOption = options.DType.AUTO,
    batch_size: options.BatchSizeOption = "auto",
    quiet: options.QuietOption = False,
) -> None:
    """Edit kept-out photographs in known ways and measure how near the truth the results lie.

    The last line on standard output is the summary as JSON.
    """
    start = time.perf_counter()
    messages = Messages(quiet=quiet)
    at_once = options.parse_batch_size(batch_size)
    given = {
        "guidance": guidance,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "guidance_interval": guidance_interval,
    }
    sampling: dict[str, Any] = {flag: value for flag, value in given.items() if value is not None}
    # Wrong values are told at once, not after the model has loaded.
    SamplingConfig(**sampling)
    _need_opencv()

    from editar_cli.benchmarks.mini import MiniSettings, run_mini, spaced
    from editar_cli.benchmarks.report import (
        HEADERS,
        RESULTS,
        bundle_sums,
        identity_lines,
        summary,
        table_rows,
        write_report,
    )
    from editar_cli.editor import Editor, EditSession
    from editar_cli.training.photos import list_photos, load_photo, split

    chosen: dict[str, Any] = {} if families is None else {"families": tuple(families.split(","))}
    settings = MiniSettings(wording=wording.value, seed=seed, truth_draws=truth_draws, **chosen)
    paths = list_photos(data)
    if keep_out_every is not None:
        paths = split(paths, keep_out_every)[1]
        if not paths:
            raise UsageError(f"{data}: too few pictures for --keep-out-every {keep_out_every}")
    if (output / RESULTS).exists() and not overwrite:
        raise UsageError(f"{output / RESULTS}: is already there; --overwrite replaces it")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {output}: cannot be made: {error.strerror}") from error
    by_name = {path.name: path for path in paths}
    pictures = {}
    for name in spaced(list(by_name), photos):
        try:
            pictures[name] = load_photo(by_name[name], side)
        except OSError as error:
            raise ImageError(f"{by_name[name]}: cannot be read; leave it out ({error})") from error

    editor = Editor.load(model, device=device, dtype=dtype.value)
    session = EditSession(
        editor,
        editor.options(**sampling, fit=None if fit is None else fit.value, preserve=preserve),
        seed=seed,
    )
    total = len(pictures) * len(settings.families)
    messages.info(
        f"{total} edits: {len(pictures)} photographs, {len(settings.families)} families, "
        f"{wording} wording, model {editor.config.name} on {editor.bundle.device}"
    )
    with messages.progress(total) as show:
        result = run_mini(
            pictures,
            session,
            settings,
            batch_size=at_once or editor.batch_size,
            on_progress=show if sys.stderr.isatty() else _tenths(messages, total),
        )
    seconds = round(time.perf_counter() - start, 1)
    facts = {
        "model": str(session.facts["model"]),
        "bundle": bundle_sums(editor.bundle.path),
        "device": str(editor.bundle.device),
        "seconds": seconds,
        "settings": {
            "data": str(data),
            "keep_out_every": keep_out_every,
            "photos": photos,
            "side": side,
            "families": list(settings.families),
            "wording": wording.value,
            "seed": seed,
            "truth_draws": truth_draws,
            **{key: value for key, value in session.facts.items() if key != "model"},
        },
    }
    try:
        write_report(output, result, facts)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from error
    messages.table(HEADERS, table_rows(result.families))
    for line in identity_lines(result.families):
        messages.info(line)
    messages.info(f"{len(result.counted)} of {len(result.judged)} families count")
    facts_first = {"benchmark": "mini", "model": facts["model"], "wording": wording.value}
    where = {"seconds": seconds, "output": str(output)}
    print(json.dumps({**facts_first, **summary(result), **where}, ensure_ascii=False))


def _need_opencv() -> None:
    if find_spec("cv2") is None:
        raise EditarError(
            "bench mini makes its pictures with OpenCV, which is not installed. "
            'Install it with: pip install "editar[train]"'
        )


def _tenths(messages: Messages, total: int) -> ProgressCallback:
    """Progress where no bar is drawn: one line in a log for every tenth of the edits."""
    told = 0

    def show(done: float, what: str) -> None:
        nonlocal told
        if (tenth := int(10 * done / total)) > told:
            told = tenth
            messages.info(f"{what}: {done:.0f} of {total}")

    return show
