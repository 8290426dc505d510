"""``editar edit``: pictures and an instruction in, edited pictures out."""

import json
from typing import Annotated

import typer

from editar_cli import options
from editar_cli.commands._run import Session, on_exists_rule, ready_to_run, run
from editar_cli.console import Messages


def edit(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE... INSTRUCTION",
            help="Files, folders, globs or - for standard input; the last word is the instruction.",
        ),
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option(
            "--instruction", metavar="TEXT", help="The instruction; all words are then inputs."
        ),
    ] = None,
    from_file: options.FromFileOption = None,
    output: options.OutputOption = None,
    recursive: options.RecursiveOption = False,
    name: options.NameOption = None,
    format: options.FormatOption = options.Format.AUTO,
    in_place: options.InPlaceOption = False,
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
    preserve: options.PreserveOption = True,
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
    """Edit pictures as an instruction says.

    \b
      editar edit in.jpg "make it snowy"
      editar edit photos/ "make it snowy" -r -o out/
      cat in.jpg | editar edit - "at night" -o - > out.jpg
    """
    from editar_cli import batch
    from editar_cli.lists import read_list

    messages = Messages(quiet=quiet, verbose=verbose)
    rows = read_list(from_file) if from_file is not None else []
    inputs, text = batch.split_positionals(items or [], instruction, rows=rows)
    placement = batch.Placement(
        output=output,
        name=name,
        format=format.value,
        seed=seed,
        in_place=in_place,
        on_exists=on_exists_rule(overwrite, on_exists).value,
    )
    plan = batch.plan_jobs(inputs, text, placement, recursive=recursive, rows=rows)
    at_once = options.parse_batch_size(batch_size)
    sampling = options.sampling_given(
        guidance=guidance,
        image_guidance=image_guidance,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        guidance_interval=guidance_interval,
    )
    if not ready_to_run(plan, messages, json_lines=json_lines, dry_run=dry_run):
        return

    def open_session() -> Session:
        from editar_cli.editor import Editor, EditSession, threads_beside

        editor = Editor.load(model, device=device, dtype=dtype.value, quantize=quantize.value)
        settings = editor.options(
            **sampling,
            size=size.value,
            fit=None if fit is None else fit.value,
            preserve=preserve,
        )
        session = EditSession(editor, settings, seed=seed)
        messages.detail(f"{json.dumps(dict(session.facts))} on {editor.bundle.device}")
        return Session(
            session,
            slots=at_once or editor.engine.slots(settings.sampling),
            threads=threads_beside(editor.bundle.device) if jobs is None else jobs,
        )

    run(
        plan,
        open_session,
        messages,
        verbs=("editing", "edited"),
        format=format.value,
        json_lines=json_lines,
        fail_fast=fail_fast,
        in_place=in_place,
        rule_given=on_exists is not None,
    )
