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
    Path,
    typer.Option(
        "--data", metavar="DIR", help="Folder with photos/ and, if any, scenes/ and cutouts/."
    ),
]
RunOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="The run: log, sheets, checkpoint, result."),
]
InitOption = Annotated[
    Path | None,
    typer.Option("--init", metavar="BUNDLE", help="Bundle or earlier result to start from."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe: --set schedule.steps=2000."
    ),
]


@app.command("tokenizer")
def tokenizer(
    data: DataOption,
    output: RunOption,
    recipe: options.RecipeOption = None,
    init: InitOption = None,
    resume: ResumeOption = False,
    changes: SetOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Train the image tokenizer: pictures to codes and back."""
    _train("tokenizer", data, output, recipe, init, resume, changes, quiet)


@app.command("depth")
def depth(
    data: DataOption,
    output: RunOption,
    recipe: options.RecipeOption = None,
    resume: ResumeOption = False,
    changes: SetOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Train the small depth network: rendered scenes to inverse depth."""
    _train("depth", data, output, recipe, None, resume, changes, quiet)


@app.command("editor")
def editor(
    data: DataOption,
    output: RunOption,
    recipe: options.RecipeOption = None,
    init: InitOption = None,
    resume: ResumeOption = False,
    changes: SetOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Train the transformer: source codes and instruction to edited codes."""
    _train("editor", data, output, recipe, init, resume, changes, quiet)


def _train(
    stage: str,
    data: Path,
    output: Path,
    recipe: Path | None,
    init: Path | None,
    resume: bool,
    changes: list[str] | None,
    quiet: bool,
) -> None:
    from editar_cli.training.run import train

    messages = Messages(quiet=quiet)

    def report(step: int, steps: int, figures: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        messages.info(f"{step}/{steps}  {shown}")

    train(
        stage,
        recipe=recipe,
        data=data,
        output=output,
        init=init,
        resume=resume,
        overrides=changes or [],
        report=report,
    )
    # The result is what a script wants to know.
    print(output)
