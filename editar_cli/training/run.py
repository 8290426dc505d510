"""Starts a stage from a recipe file: what ``editar train`` calls."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from editar_cli.checkpoints.registry import resolve_model
from editar_cli.errors import DeviceError, UsageError
from editar_cli.training.loop import Stage, fit
from editar_cli.training.recipe import DepthRecipe, EditorRecipe, TokenizerRecipe, load_recipe

Report = Callable[[int, int, dict[str, float]], None]
STAGES = ("tokenizer", "depth", "editor")


def train(
    stage: str,
    *,
    recipe: Path | None,
    data: Path | None,
    output: Path,
    init: Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    report: Report = lambda step, steps, figures: None,
    notice: Callable[[str], None] = lambda text: None,
) -> None:
    """Run one stage and leave its result in ``output``.

    Args:
        stage: "tokenizer", "depth" or "editor".
        recipe: TOML file or the name of a shipped one; ``None`` takes the defaults.
        data: folder with ``photos/`` and, where there are any, ``scenes/`` and ``cutouts/``; with
            ``[[data]]`` in the recipe, what its paths are relative to.
        output: folder for log, sheets, checkpoint and result.
        init: bundle, by folder or name, or earlier result to start from; the editor stage needs
            its tokenizer and text encoder.
        resume: go on with the run in ``output``.
        overrides: ``section.key=value`` on top of the recipe.
        report: called with (step, steps, figures).
        notice: told what a person should know.

    Raises:
        UsageError: unknown stage or bad recipe.
        TrainingError: the run cannot start or go on.
    """
    made, device = _stage(stage, recipe, data, output, init, overrides, report, notice)
    fit(made, output, device=device, resume=resume, report=report)


def plan(
    stage: str,
    *,
    recipe: Path | None,
    data: Path | None,
    init: Path | None = None,
    overrides: Sequence[str] = (),
    report: Report = lambda step, steps, figures: None,
    notice: Callable[[str], None] = lambda text: None,
) -> str:
    """What ``train`` with the same arguments would do, in words, after a trial of a few steps.

    Data sets are looked through as for a run; made pairs are made for the trial alone. Nothing is
    left on disk.

    Raises:
        UsageError: unknown stage or bad recipe.
        TrainingError: the run could not start.
    """
    from editar_cli.training.editor import EditorStage
    from editar_cli.training.plan import make_plan

    with tempfile.TemporaryDirectory() as folder:
        made, device = _stage(
            stage, recipe, data, Path(folder), init, overrides, report, notice, trial=True
        )
        sets = made.source.shares() if isinstance(made, EditorStage) else []
        return make_plan(made, sets, device=device).text()


def _stage(
    stage: str,
    recipe: Path | None,
    data: Path | None,
    output: Path,
    init: Path | None,
    overrides: Sequence[str],
    report: Report,
    notice: Callable[[str], None],
    *,
    trial: bool = False,
) -> tuple[Stage, torch.device]:
    if stage not in STAGES:
        raise UsageError(f"train {stage}: must be tokenizer, depth or editor")
    if stage == "editor":
        from editar_cli.training.editor import EditorStage

        second = load_recipe(EditorRecipe, recipe, overrides)
        device = choose_device(second.run.device)
        if init is not None and not init.exists():
            init = resolve_model(init)
        editor = EditorStage(
            second,
            data,
            output,
            device=device,
            init=init,
            report=report,
            notice=notice,
            trial=trial,
        )
        return editor, device
    if data is None:
        raise UsageError(f"train {stage}: give a folder with photos/ with --data")
    if stage == "depth":
        from editar_cli.training.depth import DepthStage

        if init is not None:
            raise UsageError("train depth --init: the depth network starts from nothing")
        third = load_recipe(DepthRecipe, recipe, overrides)
        device = choose_device(third.run.device)
        return DepthStage(third, data, device=device), device
    from editar_cli.training.tokenizer import TokenizerStage

    first = load_recipe(TokenizerRecipe, recipe, overrides)
    device = choose_device(first.run.device)
    return TokenizerStage(first, data, device=device, init=init), device


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
