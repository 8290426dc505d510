"""``editar edit``: pictures and an instruction in, edited pictures out."""

import json
from typing import Annotated

import typer

from editar_cli import options
from editar_cli.commands._review import Review
from editar_cli.commands._run import Session, ready_to_run, run, settings_of
from editar_cli.flags import with_groups
from editar_cli.ledger import Ledger


@with_groups
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
    in_place: options.InPlaceOption = False,
    preserve: options.PreserveOption = True,
    *,
    inputs: options.InputOptions,
    reading: options.ReadingOptions,
    outputs: options.OutputOptions,
    sampling: options.SamplingOptions,
    frame: options.FrameOptions,
    choosing: options.ChoosingOptions,
    changing: options.AreaOptions,
    running: options.RunOptions,
    models: options.ModelOptions,
    talk: options.TalkOptions,
) -> None:
    """Edit pictures as an instruction says.

    \b
      editar edit in.jpg "make it snowy"
      editar edit photos/ "make it snowy" -r -o out/
      cat in.jpg | editar edit - "at night" -o - > out.jpg
    """
    from editar_cli import batch
    from editar_cli.discovery import split_positionals
    from editar_cli.lists import read_list

    messages = talk.messages
    rows = read_list(inputs.from_file) if inputs.from_file is not None else []
    words, text = split_positionals(items or [], instruction, rows=rows)
    placement = batch.Placement(
        output=outputs.output,
        name=outputs.name,
        format=outputs.format.value,
        seed=running.seed,
        in_place=in_place,
        on_exists=outputs.rule.value,
        variations=outputs.variations,
        sheet=outputs.sheet,
        candidates=choosing.candidates,
        best_of=choosing.best_of,
    )
    ledger = Ledger(
        lambda: settings_of(
            (inputs, reading, outputs, sampling, frame, models, changing, choosing),
            {} if preserve else {"preserve": False},
            model=models.model,
        ),
        seed=running.seed,
        on_exists=outputs.rule.value,
        in_place=in_place,
        dtype=models.dtype_given,
    )
    plan = batch.plan_jobs(
        words,
        text,
        placement,
        recursive=inputs.recursive,
        rows=rows,
        masks=changing.mask,
        ledger=ledger,
        shard=running.share,
    )
    every = [*plan.jobs, *plan.skipped]
    changing.check(masked=any(job.mask is not None for job in every))
    review = Review(
        plan,
        messages,
        page=outputs.report,
        sheet=outputs.sheet,
        seed=running.seed,
        ledger=ledger,
    )
    if not ready_to_run(
        plan, messages, json_lines=talk.json_lines, dry_run=running.dry_run, ledger=ledger
    ):
        if not running.dry_run and not review.write():
            raise typer.Exit(1)
        return

    def open_session() -> Session:
        from editar_cli.choosing import BestOf, load_scorer
        from editar_cli.editor import EditSession, threads_beside

        editor = models.load()
        settings = editor.options(
            **sampling.given,
            size=frame.size.value,
            fit=frame.fit_given,
            preserve=preserve,
            area=changing.area,
        )
        editing = EditSession(editor, settings, seed=running.seed)
        session: EditSession | BestOf = editing
        slots = models.at_once or editor.engine.slots(settings.sampling)
        if choosing.best_of > 1:
            scorer = load_scorer(
                choosing.scorer.value,
                weights=choosing.scorer_weights,
                device=str(editor.bundle.device),
                guided=settings.sampling.guidance != 1.0,
            )
            session = BestOf(
                editing,
                choosing.best_of,
                scorer,
                at_once=slots,
                keep=choosing.candidates is not None,
            )
        messages.detail(f"{json.dumps(dict(session.facts))} on {editor.bundle.device}")
        threads = running.jobs
        return Session(
            session,
            slots=slots,
            threads=threads_beside(editor.bundle.device) if threads is None else threads,
        )

    run(
        plan,
        open_session,
        messages,
        verbs=("editing", "edited"),
        format=outputs.format.value,
        json_lines=talk.json_lines,
        read=reading.rules,
        strip=outputs.strip,
        most_failures=running.most_failures,
        review=review,
        ledger=ledger,
        in_place=in_place,
        rule_given=outputs.on_exists is not None,
    )
