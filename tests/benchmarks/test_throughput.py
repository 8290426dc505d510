from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from editar_cli.benchmarks import roofline, throughput
from editar_cli.benchmarks.roofline import Machine
from editar_cli.benchmarks.throughput import (
    HEADERS,
    Measurement,
    Settings,
    ThroughputResult,
    Variant,
    compared,
    machine_lines,
    make_inputs,
    memory_permitting,
    run_throughput,
    spread,
    table_rows,
)
from editar_cli.benchmarks.timed_engine import Seconds
from editar_cli.checkpoints.native import load_bundle
from editar_cli.config import SamplingConfig
from editar_cli.errors import UsageError

CPU = torch.device("cpu")
FLOAT32 = Variant(dtype=torch.float32, int8=False)
BFLOAT16 = Variant(dtype=torch.bfloat16, int8=False)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of the machine that take no time; none is asserted."""
    monkeypatch.setitem(roofline.COPY_BYTES, "cpu", 1 << 16)
    monkeypatch.setitem(roofline.MATRIX_SIDE, "cpu", 16)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    return tmp_path


def run(bundle: Path, photos: Path, **settings) -> ThroughputResult:
    chosen = Settings(**{"variants": (FLOAT32,), "sampling": {}, **settings})
    return run_throughput(str(bundle), CPU, chosen, pictures=sorted(photos.glob("*.png")))


def measurement(**changes) -> Measurement:
    seconds = Seconds(tokenize=1.0, text=0.0, prefill=2.0, decode=6.0, detokenize=1.0)
    values = {
        "variant": "float32", "strategy": "sequential", "batch": 2, "pictures": 4, "steps": None,
        "seconds": seconds, "passes": 12.0, "pass_seconds": 1.0, "codes_per_pass": 4.0,
        "codes_read": 8.0, "weights": 100, "cache": 3_000_000, "peak_memory": 7_000_000,
        "floor_memory": 0.2, "floor_compute": 0.25,
    }  # fmt: skip
    return Measurement(**{**values, **changes})


def test_every_variant_strategy_and_batch_is_measured(tiny_bundle: Path, photos: Path):
    int8 = Variant(dtype=torch.bfloat16, int8=True)
    result = run(
        tiny_bundle,
        photos,
        variants=(BFLOAT16, int8, FLOAT32),
        strategies=("sequential", "speculative"),
        batch_sizes=(1, 3),
        baseline_steps=5,
    )
    found = [(m.variant, m.strategy, m.batch) for m in result.measurements]
    assert found == [
        ("bfloat16", "plain", 1),
        ("bfloat16", "plain", 3),
        *(
            (variant, strategy, batch)
            for variant in ("bfloat16", "bfloat16+int8", "float32")
            for strategy in ("sequential", "speculative")
            for batch in (1, 3)
        ),
    ]
    assert result.machine.rates.keys() == {"bfloat16", "float32"}
    assert result.sampling == SamplingConfig(guidance=2.0, top_k=16)
    assert not result.random_weights
    by_name = {(m.variant, m.strategy, m.batch): m for m in result.measurements}
    weights = {variant: by_name[variant, "sequential", 1].weights for variant, *_ in found}
    assert weights["float32"] == 2 * weights["bfloat16"] > 3 * weights["bfloat16+int8"]
    plain = by_name["bfloat16", "plain", 3]
    assert (plain.steps, plain.passes, plain.speedup, plain.fraction) == (5, 63, None, None)
    # 64 + 6 + 64 positions, twice, of 2 layers of 32 numbers of 2 bytes, keys and values.
    assert plain.cache == 134 * 2 * 2 * 32 * 2 * 2
    for m in result.measurements[2:]:
        assert m.baseline_batch == m.batch and m.pictures == m.batch and m.steps is None
        base = by_name["bfloat16", "plain", m.batch]
        assert m.speedup == pytest.approx(base.seconds.total / m.seconds.total)
        assert m.decode_speedup == pytest.approx(base.seconds.decode / m.seconds.decode)
        assert min(m.seconds.tokenize, m.seconds.prefill, m.seconds.decode) > 0
        assert m.codes_per_pass == pytest.approx(63 / m.passes)
        assert m.floor is not None and m.fraction == pytest.approx(m.floor / m.pass_seconds)
        if m.strategy == "sequential":
            assert (m.passes, m.codes_read, m.codes_per_pass) == (63, 1, 1)
        else:
            assert m.passes <= 63 and m.codes_read >= 2


def test_some_steps_stand_for_all(tiny_bundle: Path, photos: Path):
    result = run(tiny_bundle, photos, steps=4, batch_sizes=(2,), pictures=6, baseline_steps=0)
    (m,) = result.measurements
    assert (m.steps, m.pictures, m.passes, m.codes_per_pass) == (4, 2, 63, 1)
    assert m.seconds.decode == pytest.approx(63 * m.pass_seconds / 2)
    assert min(m.seconds.tokenize, m.seconds.prefill, m.seconds.detokenize) > 0
    assert m.speedup is None and m.baseline_batch is None


def test_a_slow_machine_measures_steps_by_itself(
    tiny_bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(throughput, "PATIENCE", 0.0)
    both = ("sequential", "speculative")
    result = run(tiny_bundle, photos, strategies=both, baseline_steps=0)
    assert [m.steps for m in result.measurements] == [48, None]


def test_the_measured_places_have_the_mean_of_all():
    assert spread(4, 8) == [1, 3, 5, 7]
    for steps in (1, 7, 48, 1023):
        places = spread(steps, 1023)
        assert len(set(places)) == steps and places[0] >= 0 and places[-1] < 1023
        assert np.mean(places) == pytest.approx(511, abs=0.6)


def test_sampling_can_be_changed_and_image_guidance_is_off(
    tiny_bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    bundle = load_bundle(tiny_bundle)
    bundle.config = replace(
        bundle.config, sampling=SamplingConfig(image_guidance=2.0, guidance=4.0)
    )
    monkeypatch.setattr(throughput, "load_model", lambda *_: bundle)
    result = run(tiny_bundle, photos, sampling={"top_k": 5}, steps=1, baseline_steps=1)
    assert result.sampling == SamplingConfig(guidance=4.0, top_k=5)


def test_pictures_that_come_again_are_moved(tiny_bundle: Path, photos: Path):
    bundle = load_bundle(tiny_bundle)
    files = sorted(photos.glob("*.png"))
    inputs = make_inputs(bundle, 7, files)
    assert inputs.pixels.shape == (7, 3, 32, 32)
    assert inputs.pixels.min() >= -1 and inputs.pixels.max() <= 1
    assert len({tuple(p.flatten().tolist()) for p in inputs.pixels}) == 7
    assert torch.equal(inputs.pixels[:3], make_inputs(bundle, 3, files).pixels)
    assert torch.equal(inputs.pixels[3].sort(-1).values, inputs.pixels[0].sort(-1).values)
    assert len(set(inputs.seeds)) == 7
    noise = make_inputs(bundle, 2, []).pixels
    assert noise.shape == (2, 3, 32, 32) and not torch.equal(noise[0], noise[1])


def test_a_trained_model_needs_pictures(tiny_bundle: Path):
    with pytest.raises(UsageError, match="--data"):
        run_throughput(str(tiny_bundle), CPU, Settings(variants=(FLOAT32,), sampling={}))


def test_what_does_not_fit_is_left_out(
    tiny_bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    measure = throughput.measure_plain

    def no_room(bundle, sampling, inputs, steps):
        if len(inputs.seeds) > 1:
            raise MemoryError
        return measure(bundle, sampling, inputs, steps)

    monkeypatch.setattr(throughput, "measure_plain", no_room)
    result = run(tiny_bundle, photos, batch_sizes=(1, 2), steps=1, baseline_steps=1)
    assert [(m.strategy, m.batch, m.baseline_batch) for m in result.measurements] == [
        ("plain", 1, None), ("sequential", 1, 1), ("sequential", 2, 1),
    ]  # fmt: skip


def test_other_errors_are_not_hidden():
    said: list[str] = []
    with pytest.raises(RuntimeError, match="wrong"), memory_permitting(said.append):
        raise RuntimeError("wrong")
    with memory_permitting(said.append):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    assert said == ["left out: memory ran out"]


def test_a_ratio_is_to_the_same_batch_or_the_largest():
    small = measurement(strategy="plain", batch=1)
    slow = replace(small.seconds, decode=26.0)
    large = replace(small, batch=4, seconds=slow)
    result = compared(measurement(batch=8), {1: small, 4: large})
    assert (result.speedup, result.baseline_batch) == (3.0, 4)
    assert result.decode_speedup == pytest.approx(26 / 6)
    assert compared(measurement(batch=1), {1: small, 4: large}).speedup == 1.0
    assert compared(result, {}) == result


def test_the_record_says_rates_and_the_floor():
    record = measurement(speedup=2.0).record()
    assert record["images_per_second"] == pytest.approx(0.1)
    assert record["passes_per_code"] == 0.25
    assert (record["floor"], record["fraction"]) == (0.25, 0.25)
    assert record["seconds"] == {
        "tokenize": 1.0, "text": 0.0, "prefill": 2.0, "decode": 6.0, "detokenize": 1.0,
        "total": 10.0,
    }  # fmt: skip


def test_the_table_and_what_stands_below_it():
    result = ThroughputResult(
        device="cpu",
        threads=2,
        random_weights=True,
        sampling=SamplingConfig(),
        machine=Machine(copy=20e9, read=10e9, rates={"float32": 200e9}),
        measurements=[
            measurement(strategy="plain", floor_memory=None, floor_compute=None, steps=24),
            measurement(speedup=3.0, decode_speedup=3.5),
        ],
    )
    plain, engine = table_rows(result)
    assert len(plain) == len(engine) == len(HEADERS)
    assert dict(zip(HEADERS, engine, strict=True)) == {
        "weights, strategy": "float32, sequential", "batch": "2", "s / picture": "10",
        "tokenize": "1", "prefill": "2", "decode": "6", "detokenize": "1", "passes": "12",
        "codes / pass": "4.00", "ms / pass": "1000", "floor ms": "250", "reached": "25 %",
        "memory MB": "7", "cache MB / picture": "3", "x plain": "3.00", "x decoding": "3.50",
    }  # fmt: skip
    assert (plain[7], plain[10], plain[-1]) == ("12 from 24", "-", "-")
    assert machine_lines(result) == [
        "cpu (2 threads): reads 10.0 GB/s, copies 20.0 GB/s, multiplies 200 GFLOP/s in float32",
        "random weights: codes per pass say nothing of a trained model's",
    ]
