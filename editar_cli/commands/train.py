"""``editar train``: the tokenizer, depth and editor stages, each driven by a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from editar_cli import options
from editar_cli.console import Messages

app = typer.Typer(
    help="Train a tokenizer, a depth network or an editor from a recipe.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder with photos/ and, if any, scenes/ and cutouts/; or what the paths of [[data]] "
        "in the recipe are relative to.",
    ),
]
RunOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="The run: log, sheets, checkpoint, result."),
]
InitOption = Annotated[
    Path | None,
    typer.Option(
        "--init",
        metavar="NAME|BUNDLE",
        help="Model to start from, or the result of an earlier stage.",
    ),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe: --set schedule.steps=2000."
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Train without the rows of data sets that are found to be bad, instead of stopping: "
        "--set skip_bad=true.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would be trained on and what it takes, after a trial of a few steps.",
    ),
]


@app.command("tokenizer")
def tokenizer(
    output: RunOption,
    data: DataOption = None,
    recipe: options.RecipeOption = None,
    init: InitOption = None,
    resume: ResumeOption = False,
    changes: SetOption = None,
    dry_run: DryRunOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Train the image tokenizer: pictures to codes and back."""
    _train("tokenizer", data, output, recipe, init, resume, changes, dry_run, quiet)


@app.command("depth")
def depth(
    output: RunOption,
    data: DataOption = None,
    recipe: options.RecipeOption = None,
    resume: ResumeOption = False,
    changes: SetOption = None,
    dry_run: DryRunOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Train the small depth network: rendered scenes to inverse depth."""
    _train("depth", data, output, recipe, None, resume, changes, dry_run, quiet)


@app.command("editor")
def editor(
    output: RunOption,
    data: DataOption = None,
    recipe: options.RecipeOption = None,
    init: InitOption = None,
    resume: ResumeOption = False,
    changes: SetOption = None,
    skip_bad: SkipBadOption = False,
    dry_run: DryRunOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Train the transformer on pairs: of data sets, of your folder, or made of photographs."""
    if skip_bad:
        changes = [*(changes or []), "skip_bad=true"]
    _train("editor", data, output, recipe, init, resume, changes, dry_run, quiet)


def _train(
    stage: str,
    data: Path | None,
    output: Path,
    recipe: Path | None,
    init: Path | None,
    resume: bool,
    changes: list[str] | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    from editar_cli.training.run import plan, train

    messages = Messages(quiet=quiet)

    def report(step: int, steps: int, figures: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        messages.info(f"{step}/{steps}  {shown}")

    if dry_run:
        print(
            plan(
                stage,
                recipe=recipe,
                data=data,
                init=init,
                overrides=changes or [],
                report=report,
                notice=messages.warning,
            )
        )
        return
    train(
        stage,
        recipe=recipe,
        data=data,
        output=output,
        init=init,
        resume=resume,
        overrides=changes or [],
        report=report,
        notice=messages.warning,
    )
    # The result is what a script wants to know.
    print(output)
