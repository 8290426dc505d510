"""``editar edit``: pictures and an instruction in, edited pictures out."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from editar_cli import options
from editar_cli.commands._errand import Errand
from editar_cli.commands._run import carry_out, settings_of
from editar_cli.flags import with_groups
from editar_cli.ledger import Ledger

if TYPE_CHECKING:
    from editar_cli.runners._runner import Seat, Session


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
    from editar_cli.runners._runner import Making

    rows = read_list(inputs.from_file) if inputs.from_file is not None else []
    words, text = split_positionals(items or [], instruction, rows=rows)
    inputs.check(words, outputs.output)
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
    errand = Errand(
        words=words,
        make_plan=partial(
            batch.plan_jobs,
            words,
            text,
            placement,
            recursive=inputs.deep,
            rows=rows,
            masks=changing.mask,
            ledger=ledger,
            shard=running.share,
        ),
        opening=_Opening(
            models=models,
            sampling=sampling,
            frame=frame,
            choosing=choosing,
            changing=changing,
            preserve=preserve,
            seed=running.seed,
            threads=running.jobs,
        ),
        making=Making(
            doing="editing",
            format=outputs.format.value,
            read=reading.rules,
            strip=outputs.strip,
        ),
        done="edited",
        ledger=ledger,
        in_place=in_place,
        most_failures=running.most_failures,
        rule_given=outputs.on_exists is not None,
    )

    def check(plan: "batch.Plan") -> None:
        every = [*plan.jobs, *plan.skipped]
        masked = changing.mask is not None or any(job.mask is not None for job in every)
        changing.check(masked=masked)

    carry_out(errand, inputs=inputs, outputs=outputs, running=running, talk=talk, check=check)


@dataclass(frozen=True, kw_only=True)
class _Opening:
    """Loads the model of one command; see ``runners``."""

    models: options.ModelOptions
    sampling: options.SamplingOptions
    frame: options.FrameOptions
    choosing: options.ChoosingOptions
    changing: options.AreaOptions
    preserve: bool
    seed: int
    threads: int | None

    def __call__(self, seat: "Seat") -> "Session":
        from editar_cli.choosing import BestOf, load_scorer
        from editar_cli.editor import EditSession, threads_beside
        from editar_cli.runners._runner import Session

        editor = self.models.load()
        settings = editor.options(
            **self.sampling.given,
            size=self.frame.size.value,
            fit=self.frame.fit_given,
            preserve=self.preserve,
            area=self.changing.area,
        )
        editing = EditSession(editor, settings, seed=self.seed)
        maker: EditSession | BestOf = editing
        slots = self.models.at_once or editor.engine.slots(settings.sampling)
        choosing = self.choosing
        if choosing.best_of > 1:
            scorer = load_scorer(
                choosing.scorer.value,
                weights=choosing.scorer_weights,
                device=str(editor.bundle.device),
                guided=settings.sampling.guidance != 1.0,
            )
            maker = BestOf(
                editing,
                choosing.best_of,
                scorer,
                at_once=slots,
                keep=choosing.candidates is not None,
            )
        device = editor.bundle.device
        threads = threads_beside(device) if self.threads is None else self.threads
        return Session(maker, slots=slots, threads=threads, place=str(device))
