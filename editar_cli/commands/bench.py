"""``editar bench``: figures that judge a model."""

import json
import sys
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from editar_cli import options
from editar_cli.commands import map_bench
from editar_cli.commands._sweep import Loaded, with_sweep
from editar_cli.commands.folder_bench import folder_bench
from editar_cli.commands.pie_bench import pie_bench
from editar_cli.console import Messages, ProgressCallback
from editar_cli.errors import ImageError, UsageError
from editar_cli.flags import with_groups

if TYPE_CHECKING:
    from editar_cli.benchmarks.timed_engine import StrategyName
    from editar_cli.synthesis import Photo
    from editar_cli.synthesis.cutouts import Cutouts

bench_app = typer.Typer(
    help="Judge a model by figures.", no_args_is_help=True, rich_markup_mode=None
)


class Wording(StrEnum):
    """Which sentences the model is asked with."""

    HELD_OUT = "held-out"
    TRAINING = "training"


class Strategies(StrEnum):
    """Which strategies are measured."""

    SEQUENTIAL = "sequential"
    SPECULATIVE = "speculative"
    BOTH = "both"


STRATEGIES: "dict[Strategies, tuple[StrategyName, ...]]" = {
    Strategies.SEQUENTIAL: ("sequential",),
    Strategies.SPECULATIVE: ("speculative",),
    Strategies.BOTH: ("sequential", "speculative"),
}

DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder of photographs kept out.")
]
PhotosOption = Annotated[
    int, typer.Option("--photos", metavar="N", min=1, help="At most so many, evenly spaced.")
]
KeepOutOption = Annotated[
    int | None,
    typer.Option(
        "--keep-out-every",
        metavar="N",
        min=2,
        help="The folder is the training one: take what training with this number left out.",
    ),
]
SideOption = Annotated[
    int,
    typer.Option("--side", metavar="PX", min=32, help="Photographs are reduced to this long side."),
]
ReplaceOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are already there.")
]


@bench_app.callback()
def _group() -> None:
    """Judge a model by figures."""


bench_app.command("pie-bench")(pie_bench)
for _mode in map_bench.MODES:
    bench_app.command(_mode)(map_bench.command(_mode))
bench_app.command("folder")(folder_bench)


@bench_app.command("mini")
@with_groups
@with_sweep
def mini(
    data: DataOption,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="results.json, rows.csv, table.md and sheet.png."
        ),
    ],
    photos: PhotosOption = 40,
    keep_out_every: KeepOutOption = None,
    cutouts: Annotated[
        Path | None,
        typer.Option(
            "--cutouts", metavar="DIR", help="Cut-outs, to judge edits made with them as well."
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
    side: SideOption = 512,
    overwrite: ReplaceOption = False,
    seed: options.SeedOption = 0,
    preserve: options.PreserveOption = True,
    strategy: options.StrategyOption = options.Strategy.SPECULATIVE,
    dry_run: options.DryRunOption = False,
    quiet: options.QuietOption = False,
    *,
    fit: options.FitOption = None,
    sampling: options.SamplingOptions,
    models: options.ModelOptions,
    loaded: Loaded,
) -> None:
    """Edit kept-out photographs in known ways and measure how near the truth the results lie.

    The last line on standard output is the summary as JSON.
    """
    start = time.perf_counter()
    messages = Messages(quiet=quiet)

    from editar_cli.benchmarks.local import HEADERS as LOCAL_HEADERS
    from editar_cli.benchmarks.local import local_table
    from editar_cli.benchmarks.mini import MiniSettings, all_families, run_mini
    from editar_cli.benchmarks.report import (
        HEADERS,
        bundle_sums,
        identity_lines,
        summary,
        table_rows,
        write_report,
    )
    from editar_cli.editor import EditSession

    if families is not None:
        names = tuple(families.split(","))
    else:
        names = all_families(cutouts=cutouts is not None)
    settings = MiniSettings(
        wording=wording.value, seed=seed, truth_draws=truth_draws, families=names
    )
    if settings.pasted and cutouts is None:
        raise UsageError(f"--families {','.join(settings.pasted)}: give cut-outs with --cutouts")
    if cutouts is None and families is None:
        messages.info("edits made with cut-outs are left out: they need --cutouts")
    things = None if cutouts is None else _cutouts(cutouts, keep_out_every)
    pictures = _photographs(data, keep_out_every, photos, side)
    total = len(pictures) * len(settings.families)
    if dry_run:
        print(
            f"{output}: {total} edits: {len(pictures)} photographs, {len(settings.families)} "
            f"families, {wording} wording, model {models.model}"
        )
        return
    _make_room(output, overwrite)
    editor = loaded.editor(models, strategy)
    session = EditSession(
        editor,
        editor.options(**sampling.given, fit=None if fit is None else fit.value, preserve=preserve),
        seed=seed,
    )
    messages.info(
        f"{total} edits: {len(pictures)} photographs, {len(settings.families)} families, "
        f"{wording} wording, model {editor.config.name} on {editor.bundle.device}"
    )
    with messages.progress(total) as show:
        result = run_mini(
            pictures,
            session,
            settings,
            slots=models.at_once or editor.engine.slots(session.options.sampling),
            cutouts=things,
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
            "cutouts": None if cutouts is None else str(cutouts),
            "keep_out_every": keep_out_every,
            "photos": photos,
            "side": side,
            "families": list(settings.families),
            "wording": wording.value,
            "seed": seed,
            "truth_draws": truth_draws,
            "strategy": strategy.value,
            **{key: value for key, value in session.facts.items() if key != "model"},
        },
    }
    try:
        write_report(output, result, facts)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from error
    if result.families:
        messages.table(HEADERS, table_rows(result.families))
        for line in identity_lines(result.families):
            messages.info(line)
        messages.info(f"{len(result.counted)} of {len(result.judged)} families count")
    if result.local_families:
        messages.table(LOCAL_HEADERS, local_table(result.local_families))
    facts_first = {"benchmark": "mini", "model": facts["model"], "wording": wording.value}
    where = {"seconds": seconds, "output": str(output)}
    print(json.dumps({**facts_first, **summary(result), **where}, ensure_ascii=False))


@bench_app.command("compare")
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs of one benchmark.")
    ],
    quiet: options.QuietOption = False,
) -> None:
    """Line up runs of one benchmark and say which differences are real.

    Differences are taken picture by picture. Real are those whose 95 % bootstrap interval leaves 0
    out and whose sign-flip test has p < 0.05, adjusted for all figures over all rows, or for all
    figures and groups. The last line on standard output is everything as JSON.
    """
    from editar_cli.benchmarks.compare import compare as line_up
    from editar_cli.benchmarks.compare import (
        comparison_record,
        comparison_table,
        conclusion,
        read_run,
    )

    messages = Messages(quiet=quiet)
    read = [read_run(folder) for folder in runs]
    found = line_up(read)
    messages.table(*comparison_table(read, [one for one in found if one.group is None]))
    if real := [one for one in found if one.group is not None and set(one.verdicts()) != {"no"}]:
        messages.info("real differences by group:")
        messages.table(*comparison_table(read, real))
    for line in conclusion(read, found):
        messages.info(line)
    print(json.dumps(comparison_record(read, found), ensure_ascii=False, allow_nan=False))


@bench_app.command("translate")
@with_groups
def translate(
    data: DataOption,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="results.json, table.md and sheet-MODE.png."
        ),
    ],
    modes: Annotated[
        str, typer.Option("--modes", metavar="NAME,...", help="Kinds of map.")
    ] = "canny,depth,segmentation",
    extractor: Annotated[
        str | None,
        typer.Option("--extractor", metavar="NAME", help="How maps are found, for a single mode."),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option("--captions/--no-captions", help="Use in.txt beside in.jpg as its caption."),
    ] = False,
    photos: PhotosOption = 40,
    keep_out_every: KeepOutOption = None,
    side: SideOption = 512,
    overwrite: ReplaceOption = False,
    seed: options.SeedOption = 0,
    quiet: options.QuietOption = False,
    *,
    fit: options.FitOption = None,
    sampling: options.SamplingOptions,
    models: options.ModelOptions,
) -> None:
    """Translate kept-out photographs and measure how well the outputs' maps agree with theirs.

    The last line on standard output is the summary as JSON.
    """
    start = time.perf_counter()
    messages = Messages(quiet=quiet)
    from editar_cli.modes._settings import MapSettings

    names = modes.split(",")
    if len(set(names)) < len(names):
        raise UsageError(f"--modes {modes}: one is named twice")
    if extractor is not None and len(names) > 1:
        raise UsageError(f"--extractor {extractor}: give one mode with it: --modes {names[0]}")
    settings = [MapSettings(mode=name, extractor=extractor) for name in names]

    from editar_cli.benchmarks.report import bundle_sums, write_translation_report
    from editar_cli.benchmarks.translation import HEADERS, figures, run_mode

    pictures = _photographs(data, keep_out_every, photos, side)
    if len(pictures) < 2:
        raise UsageError(f"{data}: at least two photographs are needed to compare with others")
    _make_room(output, overwrite)
    texts = {}
    for name in pictures if captions else ():
        file = (data / name).with_suffix(".txt")
        if file.is_file():
            texts[name] = " ".join(file.read_text(encoding="utf-8").split())
    editor = models.load()
    chosen = editor.options(
        **sampling.given, fit=None if fit is None else fit.value, translating=True
    )
    results = []
    for setting in settings:
        with messages.progress(len(pictures)) as show:
            result = run_mode(
                pictures,
                editor,
                chosen,
                setting,
                captions=texts,
                seed=seed,
                slots=models.at_once or editor.engine.slots(chosen.sampling),
                on_progress=show if sys.stderr.isatty() else _tenths(messages, len(pictures)),
            )
        results.append(result)
    seconds = round(time.perf_counter() - start, 1)
    facts = {
        "model": editor.config.name,
        "bundle": bundle_sums(editor.bundle.path),
        "device": str(editor.bundle.device),
        "seconds": seconds,
        "settings": {
            "data": str(data),
            "keep_out_every": keep_out_every,
            "photos": len(pictures),
            "side": side,
            "captions": captions,
            "seed": seed,
            "fit": chosen.fit.value,
            **asdict(chosen.sampling),
        },
    }
    try:
        write_translation_report(output, results, facts)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from error
    messages.table(HEADERS, figures(results))
    summary = {
        result.mode: {
            "extractor": result.extractor,
            "output": result.output,
            "shuffled": result.shuffled,
            "tokenizer": result.tokenizer,
        }
        for result in results
    }
    first = {"benchmark": "translate", "model": editor.config.name, "photos": len(pictures)}
    print(json.dumps({**first, **summary, "seconds": seconds, "output": str(output)}))


@bench_app.command("throughput")
@with_groups
def throughput(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Pictures to edit; random models need none."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the JSON there as well."),
    ] = None,
    dtypes: Annotated[
        str,
        typer.Option(
            "--dtype", metavar="NAME,...", help="Number formats; the plain way runs in the first."
        ),
    ] = "auto",
    quantize: Annotated[
        str, typer.Option("--quantize", metavar="none,int8", help="With weights stored so.")
    ] = "none",
    batch_sizes: Annotated[
        str, typer.Option("--batch-sizes", metavar="N,...", help="Pictures at once.")
    ] = "1",
    strategy: Annotated[
        Strategies, typer.Option("--strategy", help="How codes are guessed.")
    ] = Strategies.BOTH,
    pictures: Annotated[
        int | None,
        typer.Option(
            "--pictures", metavar="N", min=1, help="For each measurement. Default: the batch."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="N",
            min=1,
            help="Measure so many steps of the sequential strategy, spread over the picture. "
            "Default: whole pictures where that takes no minutes.",
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option("--baseline/--no-baseline", help="Compare with the published way, plainly."),
    ] = True,
    baseline_steps: Annotated[
        int,
        typer.Option("--baseline-steps", metavar="N", min=1, help="Steps of it to measure."),
    ] = 24,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME|PATH|random:SIZE",
            help="As elsewhere, or a published size with random weights, such as random:gpt-xl.",
        ),
    ] = "mini",
    device: options.DeviceOption = "auto",
    quiet: options.QuietOption = False,
    *,
    sampling: options.SamplingOptions,
) -> None:
    """Measure the engine's speed and memory beside the plain way and the machine's limit.

    The last line on standard output is everything as JSON.
    """
    start = time.perf_counter()
    messages = Messages(quiet=quiet)
    sizes = tuple(options.parse_batch_size(text) or 0 for text in batch_sizes.split(","))
    if 0 in sizes:
        raise UsageError(f"--batch-sizes {batch_sizes}: must be numbers from 1")

    from editar_cli.benchmarks.report import versions
    from editar_cli.benchmarks.throughput import (
        HEADERS,
        Settings,
        Variant,
        machine_lines,
        run_throughput,
        table_rows,
    )
    from editar_cli.editor import choose_device, choose_dtype
    from editar_cli.training.photos import list_photos

    chosen = choose_device(device)
    stored = quantize.split(",")
    if not set(stored) <= set(options.Quantize):
        raise UsageError(f"--quantize {quantize}: must be none, int8 or none,int8")
    settings = Settings(
        variants=tuple(
            Variant(dtype=choose_dtype(name, chosen), int8=how == options.Quantize.INT8)
            for name in dtypes.split(",")
            for how in stored
        ),
        batch_sizes=sizes,
        strategies=STRATEGIES[strategy],
        sampling=sampling.given,
        pictures=pictures,
        steps=steps,
        baseline_steps=baseline_steps if baseline else 0,
    )
    files = () if data is None else list_photos(data)
    result = run_throughput(model, chosen, settings, pictures=files, say=messages.info)
    messages.table(HEADERS, table_rows(result))
    for line in machine_lines(result):
        messages.info(line)
    seconds = round(time.perf_counter() - start, 1)
    facts = {"benchmark": "throughput", "model": model, "data": None if data is None else str(data)}
    text = json.dumps(
        {**facts, "versions": versions(), **result.record(), "elapsed": seconds},
        ensure_ascii=False,
    )
    if output is not None:
        try:
            output.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"-o {output}: cannot be written: {error.strerror}") from error
    print(text)


def _photographs(
    data: Path, keep_out_every: int | None, count: int, side: int
) -> "dict[str, Photo]":
    """At most ``count`` photographs of a folder, by name, reduced to a long side."""
    from editar_cli.benchmarks.mini import spaced
    from editar_cli.training.photos import list_photos, load_photo, split

    paths = list_photos(data)
    if keep_out_every is not None:
        paths = split(paths, keep_out_every)[1]
        if not paths:
            raise UsageError(f"{data}: too few pictures for --keep-out-every {keep_out_every}")
    by_name = {path.name: path for path in paths}
    pictures = {}
    for name in spaced(list(by_name), count):
        try:
            pictures[name] = load_photo(by_name[name], side)
        except OSError as error:
            raise ImageError(f"{by_name[name]}: cannot be read; leave it out ({error})") from error
    return pictures


def _cutouts(folder: Path, keep_out_every: int | None) -> "Cutouts":
    """The cut-outs of a folder; of a training one, as validation uses them."""
    from editar_cli.synthesis.cutouts import Cutouts, read_cutouts
    from editar_cli.training.cutouts import split_cutouts

    if keep_out_every is not None:
        return split_cutouts(folder, keep_out_every)[1]
    found = list(read_cutouts(folder).values())
    return Cutouts(found, found)


def _make_room(output: Path, overwrite: bool) -> None:
    """The folder for results, without old ones in it unless they may be replaced."""
    from editar_cli.benchmarks.report import RESULTS

    if (output / RESULTS).exists() and not overwrite:
        raise UsageError(f"{output / RESULTS}: is already there; --overwrite replaces it")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {output}: cannot be made: {error.strerror}") from error


def _tenths(messages: Messages, total: int) -> ProgressCallback:
    """Progress where no bar is drawn: one line in a log for every tenth of the edits."""
    told = 0

    def show(done: float, what: str) -> None:
        nonlocal told
        if (tenth := int(10 * done / total)) > told:
            told = tenth
            messages.info(f"{what}: {done:.0f} of {total}")

    return show
