"""The training loop that both stages share.

A stage owns its networks and says what one step's loss is; the loop owns optimiser, schedule,
log, validation, checkpoints and resumption. Every random draw of a stage is a function of the
run's seed and the step, so a resumed run sees what the undisturbed one would have seen.
"""

import csv
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from editar_cli.errors import TrainingError
from editar_cli.tensorfiles import few
from editar_cli.training.averaging import WeightAverage
from editar_cli.training.recipe import RunConfig, ScheduleConfig, dump_recipe

CHECKPOINT = "checkpoint.pt"


class Stage(Protocol):
    """What the loop asks of a stage."""

    recipe: Any
    module: nn.Module

    def batches(self, first_step: int) -> Iterator[Any]:
        """Batches from optimiser step ``first_step`` on, one per step."""

    def begin_step(self, step: int) -> None:
        """Whatever has to happen between two optimiser steps (starting a codebook, say)."""

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss to go down and figures for the log."""

    def validate(self, folder: Path, step: int) -> dict[str, float]:
        """Figures on kept-out data; writes a sample sheet into ``folder``."""

    def save(self, folder: Path) -> None:
        """Write the result of the stage as it now stands."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the module: tensors and plain values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""


def fit(
    stage: Stage,
    output: Path,
    *,
    device: torch.device,
    resume: bool = False,
    report: Callable[[int, int, dict[str, float]], None] = lambda step, steps, figures: None,
) -> None:
    """Train ``stage`` and leave its result, log, sheets and checkpoint in ``output``.

    Raises:
        TrainingError: ``output`` already holds a run and ``resume`` is not set, the loss is no
            longer a number, or a checkpoint does not fit.
    """
    recipe = stage.recipe
    schedule: ScheduleConfig = recipe.schedule
    run: RunConfig = recipe.run
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise TrainingError(f"{output}: holds a run already; add --resume or choose another folder")
    (output / "recipe.json").write_text(dump_recipe(recipe), encoding="utf-8")

    stage.module.to(device).train()
    optimizer = torch.optim.AdamW(
        parameter_groups(stage.module, schedule.weight_decay),
        lr=schedule.learning_rate,
        betas=schedule.betas,
    )
    average = WeightAverage(stage.module, schedule.ema) if schedule.ema else None
    step = 0
    if checkpoint.exists():
        step = _restore(checkpoint, stage, optimizer, average)

    stop = _Interrupt()
    batches = stage.batches(step)
    sums: dict[str, float] = {}
    counted, started, saved = 0, time.monotonic(), time.monotonic()
    with stop, _Log(output / "log.csv") as log:
        while step < schedule.steps and not stop.asked:
            stage.begin_step(step)
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            with torch.autocast(
                device.type, torch.bfloat16, enabled=run.dtype == "bfloat16", cache_enabled=True
            ):
                loss, figures = stage.loss(next(batches), step)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"step {step}: the loss is {loss.item()}; lower schedule.learning_rate. "
                    f"The last checkpoint is {checkpoint}"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(stage.module.parameters(), schedule.clip)
            optimizer.step()
            step += 1
            if average is not None:
                average.update(step)
            for name, value in {"loss": loss.item(), "norm": norm.item(), **figures}.items():
                sums[name] = sums.get(name, 0.0) + value
            counted += 1
            if step % run.log_every == 0 or step == schedule.steps:
                means = {name: value / counted for name, value in sums.items()}
                means["rate"] = counted * schedule.batch_size / (time.monotonic() - started)
                log.write(step, means)
                report(step, schedule.steps, means)
                sums, counted, started = {}, 0, time.monotonic()
            if step % run.validate_every == 0 or step == schedule.steps:
                stage.module.eval()
                with _result_weights(average):
                    figures = stage.validate(output, step)
                stage.module.train()
                log.write(step, figures)
                report(step, schedule.steps, figures)
                started = time.monotonic()
            if time.monotonic() - saved > 60 * run.checkpoint_minutes:
                _save(checkpoint, stage, optimizer, average, step)
                with _result_weights(average):
                    stage.save(output)
                saved = time.monotonic()
    _save(checkpoint, stage, optimizer, average, step)
    with _result_weights(average):
        stage.save(output)
    if stop.asked:
        raise TrainingError(f"stopped at step {step}; the same command with --resume goes on")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay on matrices only: norms and biases keep their scale."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim >= 2]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module without what is frozen: of a model with adapters, the adapters."""
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad}
    # Buffers of a frozen model are its own, too.
    kept = dict(module.named_parameters()) if frozen else module.state_dict()
    return {name: value.detach() for name, value in kept.items() if name not in frozen}


def load_trained_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take up what :func:`trained_state` gave.

    Raises:
        RuntimeError: names or shapes differ.
    """
    if missing := trained_state(module).keys() ^ state.keys():
        raise RuntimeError(f"{few(missing)} is in one of them only")
    module.load_state_dict(dict(state), strict=False)


def _result_weights(average: WeightAverage | None) -> AbstractContextManager[None]:
    """What is validated and written: the averaged weights where there are any."""
    return nullcontext() if average is None else average.in_place()


def _save(
    path: Path,
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    step: int,
) -> None:
    temporary = path.with_suffix(".partial")
    state = {
        "step": step,
        "module": trained_state(stage.module),
        "optimizer": optimizer.state_dict(),
        "stage": stage.state(),
        "average": None if average is None else average.state(),
    }
    torch.save(state, temporary)
    os.replace(temporary, path)


def _restore(
    path: Path,
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> int:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        load_trained_state(stage.module, state["module"])
        stage.load_state(state["stage"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            # A run that averages only from here on starts with what it has.
            average.load_state(state["average"] or average.of_module())
    except (RuntimeError, KeyError, ValueError, EOFError) as error:
        raise TrainingError(f"{path}: does not fit this recipe or is damaged: {error}") from error
    return int(state["step"])


class _Interrupt:
    """Turns the first Ctrl-C or SIGTERM into a clean stop after the running step."""

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(number, self._previous[number])

    def __enter__(self) -> "_Interrupt":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def leave_signals(worker: int) -> None:
    """For data workers: Ctrl-C reaches the whole group, and the parent decides when they end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Log:
    """Long-format CSV: step, time, name, value. New figures need no new columns."""

    def __init__(self, path: Path) -> None:
        fresh = not path.exists()
        self._file = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        if fresh:
            self._writer.writerow(["step", "time", "name", "value"])

    def write(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.writerow([step, round(time.time()), name, json.dumps(value)])
        self._file.flush()

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
