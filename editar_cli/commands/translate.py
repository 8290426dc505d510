"""``editar translate``: pictures or maps in, new pictures with the same geometry out."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from editar_cli import options
from editar_cli.commands._run import Session, on_exists_rule, ready_to_run, run
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.modes import NAMES


class Input(StrEnum):
    """What the given pictures are."""

    PHOTO = "photo"
    MAP = "map"


def translate(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE... [CAPTION]",
            help="Files, folders, globs or - for standard input; then, if you like, a caption.",
        ),
    ] = None,
    *,
    mode: Annotated[
        str, typer.Option("--mode", metavar="|".join(NAMES), help="The kind of map in between.")
    ],
    caption: Annotated[
        str | None,
        typer.Option("--caption", metavar="TEXT", help="The caption; all words are then inputs."),
    ] = None,
    caption_files: Annotated[
        bool,
        typer.Option(
            "--caption-files/--no-caption-files",
            help="Without a caption, take that of in.jpg from in.txt beside it.",
        ),
    ] = True,
    from_file: options.FromFileOption = None,
    input: Annotated[
        Input, typer.Option("--input", help="The pictures are photographs, or maps already.")
    ] = Input.PHOTO,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="The maps are the other way round (black lines, near dark)."),
    ] = False,
    extractor: Annotated[
        str | None,
        typer.Option(
            "--extractor",
            metavar="NAME",
            help="How maps are found; --extractor list shows them. Default: what suits the model.",
        ),
    ] = None,
    extractor_weights: Annotated[
        Path | None,
        typer.Option(
            "--extractor-weights",
            metavar="PATH",
            help="The extractor's weights, instead of the model hub and its cache.",
        ),
    ] = None,
    low: Annotated[
        float | None, typer.Option("--low", metavar="T", help="Edges: the lower threshold.")
    ] = None,
    high: Annotated[
        float | None, typer.Option("--high", metavar="T", help="Edges: the upper threshold.")
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            metavar="PX",
            help="Short side at which the extractor looks at a picture.",
        ),
    ] = None,
    map_only: Annotated[
        bool, typer.Option("--map-only", help="Write the maps themselves; no model is loaded.")
    ] = False,
    save_map: Annotated[
        Path | None,
        typer.Option("--save-map", metavar="DIR", help="Write each map into a folder as well."),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Write source, map and result side by side as well."),
    ] = False,
    output: options.OutputOption = None,
    recursive: options.RecursiveOption = False,
    name: options.NameOption = None,
    format: options.FormatOption = options.Format.AUTO,
    overwrite: options.OverwriteOption = False,
    on_exists: options.OnExistsOption = None,
    dry_run: options.DryRunOption = False,
    fail_fast: options.FailFastOption = False,
    seed: options.SeedOption = 0,
    guidance: options.GuidanceOption = None,
    image_guidance: options.ImageGuidanceOption = None,
    temperature: options.TemperatureOption = None,
    top_k: options.TopKOption = None,
    top_p: options.TopPOption = None,
    guidance_interval: options.GuidanceIntervalOption = None,
    size: options.SizeOption = options.Size.SOURCE,
    fit: options.FitOption = None,
    model: options.ModelOption = "mini",
    device: options.DeviceOption = "auto",
    dtype: options.DTypeOption = options.DType.AUTO,
    quantize: options.QuantizeOption = options.Quantize.NONE,
    batch_size: options.BatchSizeOption = "auto",
    jobs: options.JobsOption = None,
    json_lines: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Make new pictures from the edges, the depth or the regions of given ones.

    \b
      editar translate --mode canny in.jpg
      editar translate --mode depth photos/ "a winter evening" -o out/ --preview
      editar translate --mode segmentation --input map maps/ --from-file captions.csv
    """
    messages = Messages(quiet=quiet, verbose=verbose)
    if extractor == "list":
        _list_extractors(mode)
        return
    from editar_cli import batch
    from editar_cli.lists import read_list
    from editar_cli.modes._mode import ExtractorSettings
    from editar_cli.modes._settings import MapSettings

    if map_only and save_map is not None:
        raise UsageError("--map-only and --save-map: the maps are the results; -o names the folder")
    rows = read_list(from_file) if from_file is not None else []
    inputs, text = batch.split_caption(items or [], caption, other_inputs=bool(rows))
    if map_only and (text is not None or size is not options.Size.SOURCE):
        flag = "--size model"
        if text is not None:
            flag = f'the caption "{text}"' if caption is None else "--caption"
        raise UsageError(f"--map-only and {flag}: without a model there is no use for it")
    if not inputs and not rows:
        raise UsageError(f"no picture: editar translate --mode {mode} in.jpg")
    if map_only and format is options.Format.AUTO:
        # A map is data: no format that changes its pixels, unless asked for.
        format = options.Format.PNG if not _names_a_file(output) else format
    placement = batch.Placement(
        output=output,
        name=name,
        format=format.value,
        seed=seed,
        on_exists=on_exists_rule(overwrite, on_exists).value,
        tag=f"{mode}-map" if map_only else mode,
        maps=save_map,
        preview=preview,
    )
    tags = ["edited", "preview"]
    if input is Input.PHOTO:
        tags += [tag for name in NAMES for tag in (name, f"{name}-map")]
    plan = batch.plan_jobs(
        inputs,
        text,
        placement,
        recursive=recursive,
        rows=rows,
        asked="caption",
        caption_files=caption_files and not map_only,
        own_tags=tags,
    )
    at_once = options.parse_batch_size(batch_size)
    sampling = options.sampling_given(
        guidance=guidance,
        image_guidance=image_guidance,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        guidance_interval=guidance_interval,
    )
    settings = MapSettings(
        mode=mode,
        extractor=extractor,
        extracting=ExtractorSettings(
            low=low, high=high, resolution=resolution, weights=extractor_weights
        ),
        input=input.value,
        invert=invert,
        preview=preview,
    )
    if not ready_to_run(plan, messages, json_lines=json_lines, dry_run=dry_run):
        return

    def open_session() -> Session:
        from editar_cli.editor import Editor, choose_device, threads_beside
        from editar_cli.translator import MapSession, TranslateSession

        session: MapSession | TranslateSession
        if map_only:
            from editar_cli.checkpoints.native import read_config
            from editar_cli.checkpoints.registry import resolve_model

            config = read_config(resolve_model(model))
            chosen_device = choose_device(device)
            session = MapSession(settings.on(str(chosen_device)), config.extractors)
            slots = 1
        else:
            editor = Editor.load(model, device=device, dtype=dtype.value, quantize=quantize.value)
            chosen = editor.options(
                **sampling,
                size=size.value,
                fit=None if fit is None else fit.value,
                translating=True,
            )
            session = TranslateSession(editor, chosen, settings, seed=seed)
            chosen_device = editor.bundle.device
            slots = at_once or editor.engine.slots(chosen.sampling)
        for note in session.choice.notes:
            messages.info(note)
        messages.detail(json.dumps(dict(session.facts)))
        return Session(
            session,
            slots=slots,
            threads=threads_beside(chosen_device) if jobs is None else jobs,
        )

    run(
        plan,
        open_session,
        messages,
        verbs=("drawing maps", "mapped") if map_only else ("translating", "translated"),
        format=format.value,
        json_lines=json_lines,
        fail_fast=fail_fast,
        rule_given=on_exists is not None,
    )


def _names_a_file(output: str | None) -> bool:
    from editar_cli.images import FORMATS

    return output is not None and Path(output).suffix.lower() in FORMATS


def _list_extractors(mode: str) -> None:
    from editar_cli.modes import load_mode

    for extractor in load_mode(mode).extractors.values():
        size = f", {extractor.download.megabytes} MB" if extractor.download is not None else ""
        state = "here" if extractor.at_hand() else f"not on this machine{size}"
        print(f"{extractor.name}: {extractor.summary} ({state})")
