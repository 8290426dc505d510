"""Starts a stage from a recipe file: what ``editar train`` calls."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from editar_cli.errors import DeviceError, UsageError
from editar_cli.training.loop import fit
from editar_cli.training.recipe import DepthRecipe, EditorRecipe, TokenizerRecipe, load_recipe

Report = Callable[[int, int, dict[str, float]], None]


def train(
    stage: str,
    *,
    recipe: Path | None,
    data: Path,
    output: Path,
    init: Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    report: Report = lambda step, steps, figures: None,
) -> None:
    """Run one stage and leave its result in ``output``.

    Args:
        stage: "tokenizer", "depth" or "editor".
        recipe: TOML file; ``None`` takes the defaults.
        data: folder with ``photos/`` and, where there are any, ``scenes/`` and ``cutouts/``.
        output: folder for log, sheets, checkpoint and result.
        init: bundle (or earlier result) to start from; the editor stage needs its tokenizer
            and text encoder.
        resume: go on with the run in ``output``.
        overrides: ``section.key=value`` on top of the recipe.
        report: called with (step, steps, figures).

    Raises:
        UsageError: unknown stage or bad recipe.
        TrainingError: the run cannot start or go on.
    """
    if stage == "tokenizer":
        from editar_cli.training.tokenizer import TokenizerStage

        first = load_recipe(TokenizerRecipe, recipe, overrides)
        device = choose_device(first.run.device)
        fit(
            TokenizerStage(first, data, device=device, init=init),
            output,
            device=device,
            resume=resume,
            report=report,
        )
    elif stage == "depth":
        from editar_cli.training.depth import DepthStage

        if init is not None:
            raise UsageError("train depth --init: the depth network starts from nothing")
        third = load_recipe(DepthRecipe, recipe, overrides)
        device = choose_device(third.run.device)
        fit(
            DepthStage(third, data, device=device),
            output,
            device=device,
            resume=resume,
            report=report,
        )
    elif stage == "editor":
        from editar_cli.training.editor import EditorStage

        second = load_recipe(EditorRecipe, recipe, overrides)
        device = choose_device(second.run.device)
        fit(
            EditorStage(second, data, output, device=device, init=init, report=report),
            output,
            device=device,
            resume=resume,
            report=report,
        )
    else:
        raise UsageError(f"train {stage}: must be tokenizer, depth or editor")


def choose_device(name: str) -> torch.device:
    """The device of a recipe; "auto" takes the first of CUDA, MPS, CPU that is there.

    Raises:
        DeviceError: there is no such device.
    """
    if name != "auto":
        try:
            torch.empty(0, device=name)
            return torch.device(name)
        except (RuntimeError, AssertionError) as error:
            raise DeviceError(
                f"run.device {name}: cannot be used here; auto or cpu works everywhere"
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
