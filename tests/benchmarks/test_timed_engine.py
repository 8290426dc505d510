from pathlib import Path

import pytest
import torch

from editar_cli.benchmarks import timed_engine
from editar_cli.benchmarks.timed_engine import Clock, Seconds, TimedEngine, peak_memory, reset_peak
from editar_cli.checkpoints.native import load_bundle
from editar_cli.config import SamplingConfig
from editar_cli.engine import Engine, Task

CPU = torch.device("cpu")
SAMPLING = SamplingConfig(guidance=2.0, top_k=16)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on by one second whenever it is read."""
    now = [0.0]

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(timed_engine, "perf_counter", tick)
    return now


def test_parts_add_up_and_decoding_is_the_rest(time: list[float]):
    clock = Clock(CPU)
    with clock.part("total"):
        for name in ("tokenize", "tokenize", "text", "prefill"):
            with clock.part(name):
                time[0] += 9
        time[0] += 60
    # Each part reads the clock twice, and so does the whole.
    assert clock.seconds == {"tokenize": 20, "text": 10, "prefill": 10, "total": 105}
    assert clock.per_picture(2) == Seconds(
        tokenize=10, text=5, prefill=5, decode=32.5, detokenize=0
    )
    assert clock.per_picture(2).total == 52.5


@pytest.mark.parametrize("strategy", ["sequential", "speculative"])
def test_a_timed_engine_edits_as_any_engine(tiny_bundle: Path, strategy: str):
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tasks = [Task(pixels=pixels[i], instruction="snow", seed=i) for i in range(3)]
    bundle = load_bundle(tiny_bundle)
    clock = Clock(CPU)
    engine = TimedEngine(bundle, clock, int8=False, strategy=strategy)
    timed = list(engine.stream(tasks, SAMPLING, slots=2))
    plain = list(Engine(load_bundle(tiny_bundle)).stream(tasks, SAMPLING, slots=2))
    for one, other in zip(
        *(sorted(found, key=lambda e: e.index) for found in (timed, plain)), strict=True
    ):
        assert torch.equal(one.edited_codes, other.edited_codes)
    rows = engine.rows(2, SAMPLING)
    assert clock.seconds.keys() == {"tokenize", "text", "prefill", "detokenize"}
    assert min(clock.seconds.values()) > 0
    # Two pictures share a pass unless the last one is alone.
    assert rows.rows_fed == sum(edited.passes for edited in timed)
    assert rows.rows_fed / 2 <= rows.passes < rows.rows_fed
    if strategy == "sequential":
        assert rows.codes_fed == rows.rows_fed == 3 * 63
    else:
        assert rows.codes_fed >= 2 * rows.rows_fed


def test_a_picture_shown_twice_is_timed_too(tiny_bundle: Path):
    clock = Clock(CPU)
    engine = TimedEngine(load_bundle(tiny_bundle), clock, int8=False, strategy="sequential")
    rows = engine.rows(2, SAMPLING)
    codes = torch.zeros(1, 64, dtype=torch.int64)
    rows.fill(0, codes, torch.zeros(1, 6, 32))
    before = clock.seconds["prefill"]
    rows.fill_again(0, 1, torch.zeros(1, 6, 32))
    assert clock.seconds["prefill"] > before


def test_the_bundle_keeps_its_own_text_encoder(tiny_bundle: Path):
    bundle = load_bundle(tiny_bundle)
    own = bundle.text_encoder
    TimedEngine(bundle, Clock(CPU), int8=True, strategy="sequential")
    assert bundle.text_encoder is own


def test_peak_memory_sees_what_was_held_since_it_was_reset():
    reset_peak(CPU)
    before = peak_memory(CPU)
    held = torch.ones(64 << 20, dtype=torch.uint8)
    assert peak_memory(CPU) - before > 48 << 20
    del held
    assert peak_memory(CPU) - before > 48 << 20
