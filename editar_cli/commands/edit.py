"""``editar edit``: pictures and an instruction in, edited pictures out."""

import json
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from editar_cli import options
from editar_cli.config import SamplingConfig
from editar_cli.console import Messages
from editar_cli.errors import UsageError

if TYPE_CHECKING:
    from editar_cli.batch import Outcome, Plan


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
    batch_size: options.BatchSizeOption = "auto",
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

    messages = Messages(quiet=quiet, verbose=verbose)
    inputs, text = batch.split_positionals(items or [], instruction)
    placement = batch.Placement(
        output=output,
        name=name,
        format=format.value,
        seed=seed,
        in_place=in_place,
        on_exists=_on_exists(overwrite, on_exists).value,
    )
    plan = batch.plan_jobs(inputs, text, placement, recursive=recursive)
    to_stdout = any(job.output is None for job in plan.jobs)
    if to_stdout and json_lines:
        raise UsageError("--json and a picture cannot share standard output; give -o FILE")
    if dry_run:
        _print_plan(plan, json_lines=json_lines)
        return
    if to_stdout and sys.stdout.isatty():
        raise UsageError("the picture would be written to the terminal; give -o FILE or a pipe")
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
    for folder in plan.folders:
        messages.info(f"results go to {folder}/")
    if plan.skipped:
        messages.info(_skipped(plan))
    if json_lines:
        for job in plan.skipped:
            print(job.to_json("skipped"), flush=True)
    if not plan.jobs:
        return

    from editar_cli.editor import Editor, EditSession

    failures = 0
    try:
        editor = Editor.load(model, device=device, dtype=dtype.value)
        settings = editor.options(
            **sampling,
            size=size.value,
            fit=None if fit is None else fit.value,
            preserve=preserve,
        )
        session = EditSession(editor, settings, seed=seed)
        messages.detail(f"{json.dumps(dict(session.facts))} on {editor.bundle.device}")
        with messages.progress(len(plan.jobs)) as show:
            for outcome in batch.run_jobs(
                plan.jobs,
                session,
                batch_size=at_once or editor.batch_size,
                format=format.value,
                on_progress=show,
                on_smaller_batch=lambda n: messages.warning(
                    f"memory ran out: going on with {n} pictures at once"
                ),
            ):
                failures += outcome.error is not None
                _tell(outcome, messages, json_lines=json_lines)
                if fail_fast and failures:
                    break
    except KeyboardInterrupt:
        messages.info(_how_to_go_on(in_place=in_place, rule_given=on_exists is not None))
        raise
    if failures:
        messages.error(f"{failures} of {len(plan.jobs)} pictures failed")
        raise typer.Exit(1)
    if len(plan.jobs) > 1:
        messages.info(f"{len(plan.jobs)} pictures edited")


def _on_exists(overwrite: bool, given: options.OnExists | None) -> options.OnExists:
    if not overwrite:
        return given or options.OnExists.SKIP
    if given not in (None, options.OnExists.OVERWRITE):
        raise UsageError(f"--overwrite and --on-exists {given}: give one of them")
    return options.OnExists.OVERWRITE


def _skipped(plan: "Plan") -> str:
    first = plan.skipped[0].output_name
    count = len(plan.skipped)
    which = first if count == 1 else f"{count} outputs ({first}, ...)"
    return f"skipped: {which} already there; --overwrite replaces, -o names another place"


def _print_plan(plan: "Plan", *, json_lines: bool) -> None:
    for job in plan.jobs:
        print(job.to_json("planned") if json_lines else f"{job.source_name} -> {job.output_name}")
    for job in plan.skipped:
        text = f"{job.source_name} -> {job.output_name} (already there, skipped)"
        print(job.to_json("skipped") if json_lines else text)


def _tell(outcome: "Outcome", messages: Messages, *, json_lines: bool) -> None:
    # Flushed line by line: the reader of a pipe works on while we do.
    if json_lines:
        print(outcome.to_json(), flush=True)
    elif outcome.error is None and outcome.job.output is not None:
        print(outcome.job.output_name, flush=True)
    if outcome.error is not None:
        messages.error(outcome.error)
    else:
        messages.detail(f"{outcome.job.source_name}: {outcome.seconds:.1f} s, seed {outcome.seed}")


def _how_to_go_on(*, in_place: bool, rule_given: bool) -> str:
    if in_place:
        return "stopped; what is finished is kept, and the same command would edit it once more"
    # The same command, with finished outputs skipped even if it said to replace them.
    words = ["editar", *(word for word in sys.argv[1:] if word != "--overwrite")]
    if rule_given:
        words += ["--on-exists", "skip"]
    return f"stopped; what is finished is kept. To go on: {shlex.join(words)}"
