"""What a run would be: samples of each set, what is trained, memory and, by a trial, time."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from editar_cli.checkpoints.registry import readable_size
from editar_cli.training.loop import Stage, parameter_groups
from editar_cli.training.pairs import Share

TRIAL_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it begins.

    Args:
        sets: where its samples come from; empty for stages without pairs.
        steps: optimiser steps.
        batch_size: samples per step.
        trained: values that are trained.
        values: values of the module in all.
        memory: part -> bytes.
        peak: bytes that the device had given out at most in the trial; ``None`` where it does not
            count.
        seconds_per_step: median of the trial's steps, data included.
        device: where the trial ran.
    """

    sets: tuple[Share, ...]
    steps: int
    batch_size: int
    trained: int
    values: int
    memory: dict[str, int]
    peak: int | None
    seconds_per_step: float
    device: str

    def text(self) -> str:
        """For people, a few lines."""
        lines = []
        for one in self.sets:
            rows = "rows unknown" if one.rows is None else f"{one.rows:,} rows"
            passes = "" if one.rows is None else f", {one.samples / one.rows:.3g} passes"
            lines.append(
                f"{one.name}: {100 * one.share:.3g} %, {one.samples:,} samples of {rows}{passes} "
                f"({one.where})"
            )
        parts = ", ".join(f"{name} {readable_size(size)}" for name, size in self.memory.items())
        lines += [
            f"trained: {self.trained:,} of {self.values:,} values",
            f"memory on {self.device}: about {readable_size(sum(self.memory.values()))}: {parts}",
        ]
        if self.peak is not None:
            lines.append(f"memory in the trial: {readable_size(self.peak)} at most")
        lines.append(
            f"time: {self.seconds_per_step:.3g} s a step of {self.batch_size} samples; "
            f"{self.steps:,} steps take {_duration(self.steps * self.seconds_per_step)} "
            "without validation"
        )
        return "\n".join(lines)


def make_plan(stage: Stage, sets: Sequence[Share], *, device: torch.device) -> Plan:
    """Take a few steps of a stage, and count.

    The stage's module is changed by it and is of no use afterwards.

    Args:
        stage: ready to train.
        sets: where the run's samples come from.
        device: where it is trained.
    """
    recipe = stage.recipe
    module = stage.module.to(device).train()
    optimizer = torch.optim.AdamW(parameter_groups(module, recipe.schedule.weight_decay), lr=1e-9)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    batches = stage.batches(0)
    saved = _SavedBytes(module)
    times = []
    # The first step also builds what later ones reuse, and is not timed.
    for step in range(TRIAL_STEPS + 1):
        started = time.perf_counter()
        stage.begin_step(step)
        batch = next(batches)
        with (
            saved if step == 0 else torch.enable_grad(),
            torch.autocast(device.type, torch.bfloat16, enabled=recipe.run.dtype == "bfloat16"),
        ):
            loss, _ = stage.loss(batch, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - started)
    own = list(module.parameters())
    trained = [p for p in own if p.requires_grad]
    gradients = sum(p.nbytes for p in trained)
    memory = {
        "weights": sum(value.nbytes for value in (*own, *module.buffers())),
        "gradients": gradients,
        "optimiser": 2 * gradients,
        "activations": saved.count,
    }
    return Plan(
        sets=tuple(sets),
        steps=recipe.schedule.steps,
        batch_size=recipe.schedule.batch_size,
        trained=sum(p.numel() for p in trained),
        values=sum(p.numel() for p in own),
        memory=memory,
        peak=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        seconds_per_step=statistics.median(times[1:]),
        device=str(device),
    )


class _SavedBytes:
    """Counts what a forward pass keeps for the backward one, each storage once."""

    def __init__(self, module: nn.Module) -> None:
        self.count = 0
        self._known = {value.untyped_storage().data_ptr() for value in module.parameters()}
        self._hooks: Any = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda x: x)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._known.add(storage.data_ptr())
            self.count += storage.nbytes()
        return tensor

    def __enter__(self) -> None:
        self._hooks.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.3g} h" if seconds < 172800 else f"{seconds / 86400:.3g} days"
