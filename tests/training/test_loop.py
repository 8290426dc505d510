import csv
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from editar_cli.errors import TrainingError
from editar_cli.training.loop import CHECKPOINT, fit, leave_signals, parameter_groups
from editar_cli.training.recipe import RunConfig, ScheduleConfig, TokenizerRecipe

CPU = torch.device("cpu")


class LineStage:
    """Learns a linear map; dropout makes the steps' own random numbers matter."""

    def __init__(self, *, stop_at: int | None = None, **schedule: Any) -> None:
        settings = {"steps": 12, "warmup": 2, "learning_rate": 0.05, "batch_size": 8, **schedule}
        self.recipe = TokenizerRecipe(
            schedule=ScheduleConfig(**settings),
            run=RunConfig(dtype="float32", log_every=5, validate_every=4),
        )
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(
            nn.Linear(4, 16), nn.Dropout(0.2), nn.LayerNorm(16), nn.Linear(16, 1)
        )
        self.stop_at = stop_at
        self.modes: list[tuple[int, str, bool]] = []

    def batches(self, first_step: int) -> Iterator[Tensor]:
        for step in range(first_step, self.recipe.schedule.steps):
            yield torch.randn(8, 4, generator=torch.Generator().manual_seed(step))

    def begin_step(self, step: int) -> None:
        torch.manual_seed(1000 + step)

    def loss(self, batch: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        self.modes.append((step, "loss", self.module.training))
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        loss = (self.module(batch)[:, 0] - batch.sum(1)).square().mean()
        return loss, {"twice": 2 * loss.item()}

    def validate(self, folder: Path, step: int) -> dict[str, float]:
        self.modes.append((step, "validate", self.module.training))
        return {"val": float(step)}

    def save(self, folder: Path) -> None:
        torch.save(self.module.state_dict(), folder / "result.pt")

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        assert state == {}


def read_log(folder: Path) -> list[tuple[int, str, float]]:
    with (folder / "log.csv").open(newline="") as lines:
        return [(int(r["step"]), r["name"], float(r["value"])) for r in csv.DictReader(lines)]


def assert_equal_states(a: Any, b: Any) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        if isinstance(value, dict):
            assert_equal_states(value, b[name])
        elif isinstance(value, Tensor):
            assert torch.equal(value, b[name]), name
        else:
            assert value == b[name], name


def test_a_resumed_run_ends_bit_for_bit_like_an_undisturbed_one(tmp_path: Path):
    fit(LineStage(), tmp_path / "whole", device=CPU)
    with pytest.raises(TrainingError, match=r"stopped at step 6; .* --resume goes on"):
        fit(LineStage(stop_at=5), tmp_path / "parts", device=CPU)
    assert (tmp_path / "parts" / "result.pt").exists()
    torch.manual_seed(99)
    resumed = LineStage()
    fit(resumed, tmp_path / "parts", device=CPU, resume=True)
    assert [step for step, what, _ in resumed.modes if what == "loss"] == list(range(6, 12))
    whole, parts = (
        torch.load(tmp_path / run / CHECKPOINT, weights_only=True) for run in ("whole", "parts")
    )
    assert whole["step"] == parts["step"] == 12
    assert_equal_states(whole["module"], parts["module"])
    assert_equal_states(whole["optimizer"]["state"], parts["optimizer"]["state"])


def test_a_run_with_averaged_weights_writes_them_and_goes_on_with_its_own(tmp_path: Path):
    class Seen(LineStage):
        def loss(self, batch: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            self.weights = [p.detach().clone() for p in self.module.parameters()]
            return super().loss(batch, step)

        def validate(self, folder: Path, step: int) -> dict[str, float]:
            self.validated = [p.detach().clone() for p in self.module.parameters()]
            return {}

    plain, averaged = Seen(), Seen(ema=0.9)
    for name, stage in (("plain", plain), ("averaged", averaged)):
        fit(stage, tmp_path / name, device=CPU)
    # What is trained is the same with and without.
    for a, b in zip(plain.weights, averaged.weights, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(plain.module.parameters(), averaged.module.parameters(), strict=True):
        assert torch.equal(a, b)
    written = torch.load(tmp_path / "averaged" / "result.pt").values()
    for own, mean, result in zip(plain.validated, averaged.validated, written, strict=True):
        assert torch.equal(mean, result) and not torch.equal(own, mean)


def test_a_resumed_run_has_the_average_of_an_undisturbed_one(tmp_path: Path):
    fit(LineStage(ema=0.9), tmp_path / "whole", device=CPU)
    with pytest.raises(TrainingError, match="stopped at step 6"):
        fit(LineStage(ema=0.9, stop_at=5), tmp_path / "parts", device=CPU)
    fit(LineStage(ema=0.9), tmp_path / "parts", device=CPU, resume=True)
    results = [torch.load(tmp_path / run / "result.pt") for run in ("whole", "parts")]
    assert_equal_states(*results)


def test_a_run_begun_without_an_average_can_go_on_with_one(tmp_path: Path):
    fit(LineStage(steps=4, decay=0.0), tmp_path, device=CPU)
    before = torch.load(tmp_path / "result.pt")
    stage = LineStage(steps=5, decay=0.0, ema=0.5)
    fit(stage, tmp_path, device=CPU, resume=True)
    own = stage.module.state_dict()
    for name, value in torch.load(tmp_path / "result.pt").items():
        # The decay of step 5 is 6 / 15 still.
        torch.testing.assert_close(value, before[name] * 0.4 + own[name] * 0.6)


class CountingStage(LineStage):
    """What it learns hangs on something that is no part of its module."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.mean = torch.zeros(())

    def loss(self, batch: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        self.mean = 0.9 * self.mean + 0.1 * batch.mean()
        loss, figures = super().loss(batch, step)
        return loss * (1 + self.mean), figures

    def state(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


def test_what_a_stage_needs_beside_its_module_is_in_the_checkpoint(tmp_path: Path):
    fit(CountingStage(), tmp_path / "whole", device=CPU)
    with pytest.raises(TrainingError, match="stopped at step 6"):
        fit(CountingStage(stop_at=5), tmp_path / "parts", device=CPU)
    fit(CountingStage(), tmp_path / "parts", device=CPU, resume=True)
    whole, parts = (
        torch.load(tmp_path / run / CHECKPOINT, weights_only=True) for run in ("whole", "parts")
    )
    assert whole["stage"]["mean"] != 0
    assert_equal_states(whole["stage"], parts["stage"])
    assert_equal_states(whole["module"], parts["module"])


def test_a_checkpoint_without_the_stages_part_is_refused(tmp_path: Path):
    fit(LineStage(steps=1), tmp_path, device=CPU)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    with pytest.raises(TrainingError, match=r"checkpoint.pt: does not fit this recipe .*mean"):
        fit(CountingStage(steps=2), tmp_path, device=CPU, resume=True)
    del state["stage"]
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match=r"checkpoint.pt: does not fit this recipe .*stage"):
        fit(LineStage(steps=2), tmp_path, device=CPU, resume=True)


def test_an_interruption_leaves_the_signal_handlers_as_they_were(tmp_path: Path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingError, match="stopped at step 1"):
        fit(LineStage(stop_at=0), tmp_path, device=CPU)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_run_is_not_overwritten(tmp_path: Path):
    fit(LineStage(steps=1), tmp_path, device=CPU)
    with pytest.raises(TrainingError, match="holds a run already; add --resume"):
        fit(LineStage(steps=1), tmp_path, device=CPU)


def test_a_finished_run_can_be_lengthened(tmp_path: Path):
    fit(LineStage(steps=4, decay=0.0), tmp_path / "parts", device=CPU)
    fit(LineStage(steps=8, decay=0.0), tmp_path / "parts", device=CPU, resume=True)
    fit(LineStage(steps=8, decay=0.0), tmp_path / "whole", device=CPU)
    results = [torch.load(tmp_path / run / "result.pt") for run in ("parts", "whole")]
    assert_equal_states(*results)


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path):
    fit(LineStage(steps=1), tmp_path, device=CPU)
    other = LineStage(steps=2)
    other.module = nn.Linear(4, 1)
    with pytest.raises(TrainingError, match=r"checkpoint.pt: does not fit this recipe"):
        fit(other, tmp_path, device=CPU, resume=True)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path):
    class Exploding(LineStage):
        def loss(self, batch: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            loss, figures = super().loss(batch, step)
            return (loss * torch.nan if step == 3 else loss), figures

    with pytest.raises(TrainingError, match=r"step 3: the loss is nan; lower .*learning_rate"):
        fit(Exploding(), tmp_path, device=CPU)


def test_the_log_holds_means_since_the_last_line_and_every_validation(tmp_path: Path):
    reports: list[tuple[int, int]] = []
    fit(
        LineStage(),
        tmp_path,
        device=CPU,
        report=lambda step, steps, figures: reports.append((step, steps)),
    )
    log = read_log(tmp_path)
    assert [step for step, name, _ in log if name == "loss"] == [5, 10, 12]
    assert [(step, value) for step, name, value in log if name == "val"] == [
        (4, 4.0), (8, 8.0), (12, 12.0),
    ]  # fmt: skip
    losses = {step: value for step, name, value in log if name == "loss"}
    for step, name, value in log:
        if name == "twice":
            assert value == pytest.approx(2 * losses[step], rel=1e-5)
    assert losses[12] < losses[5]
    assert reports == [(4, 12), (5, 12), (8, 12), (10, 12), (12, 12), (12, 12)]


def test_validation_runs_without_dropout_and_training_with(tmp_path: Path):
    stage = LineStage()
    fit(stage, tmp_path, device=CPU)
    assert {(what, training) for _, what, training in stage.modes} == {
        ("loss", True),
        ("validate", False),
    }


def test_the_first_step_moves_every_weight_by_the_rate_of_the_schedule(tmp_path: Path):
    stage = LineStage(steps=1, warmup=4, learning_rate=0.02, weight_decay=0.0)
    before = [p.detach().clone() for p in stage.module.parameters()]
    fit(stage, tmp_path, device=CPU)
    # Adam's first step is the sign of the gradient times the rate.
    for old, new in zip(before, stage.module.parameters(), strict=True):
        moved = (new - old).abs()
        assert moved.max().item() == pytest.approx(0.02 / 4, rel=1e-3)


def test_decay_falls_on_trained_matrices_alone():
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Conv2d(1, 1, 2))
    module[2].requires_grad_(False)
    decayed, others = parameter_groups(module, 0.05)
    assert [p.shape for p in decayed["params"]] == [(3, 2)]
    assert [p.shape for p in others["params"]] == [(3,), (3,), (3,)]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.05, 0.0)


def test_data_workers_leave_ctrl_c_to_their_parent():
    before = signal.getsignal(signal.SIGINT)
    try:
        leave_signals(0)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
