"""`editar bench throughput` with a tiny real model."""

import json

import numpy as np
import pytest
from PIL import Image

from editar_cli.benchmarks import random_model, roofline
from editar_cli.models.vq import VQConfig


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    """Figures of the machine that take no time."""
    monkeypatch.setitem(roofline.COPY_BYTES, "cpu", 1 << 16)
    monkeypatch.setitem(roofline.MATRIX_SIDE, "cpu", 16)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        noise = np.random.default_rng(i).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def bench(call_editar, tiny_bundle, photos):
    def run(*args):
        return call_editar(
            "bench", "throughput", "--model", tiny_bundle, "--device", "cpu", "--data", photos,
            *args,
        )  # fmt: skip

    return run


def test_a_process_of_its_own_says_json_alone_on_standard_output(run_editar, tiny_bundle, photos):
    result = run_editar(
        "bench", "throughput", "--model", tiny_bundle, "--device", "cpu", "--data", photos,
        "--strategy", "sequential",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.decode().splitlines()
    said = json.loads(line)
    assert (said["benchmark"], said["device"], said["threads"]) == ("throughput", "cpu", 1)
    plain, engine = said["measurements"]
    assert (plain["strategy"], engine["strategy"]) == ("plain", "sequential")
    assert engine["speedup"] == pytest.approx(
        plain["seconds"]["total"] / engine["seconds"]["total"]
    )
    assert said["machine"]["read"] > 1e8 and said["machine"]["rates"]["float32"] > 1e9
    errors = result.stderr.decode()
    assert "float32, sequential" in errors and "GB/s" in errors


def test_formats_and_batches_are_lists(bench, tmp_path):
    result = bench(
        "--dtype", "bfloat16,float32", "--quantize", "none,int8", "--batch-sizes", "1,2",
        "--strategy", "speculative", "--no-baseline", "--guidance", "1", "-o", "out.json", "-q",
    )  # fmt: skip
    assert result.returncode == 0 and result.stderr == b""
    said = json.loads(result.stdout)
    assert said == json.loads((tmp_path / "out.json").read_text())
    assert said["sampling"]["guidance"] == 1.0
    assert [(m["variant"], m["batch"]) for m in said["measurements"]] == [
        (variant, batch)
        for variant in ("bfloat16", "bfloat16+int8", "float32", "float32+int8")
        for batch in (1, 2)
    ]
    assert all(m["speedup"] is None for m in said["measurements"])


def test_a_random_model_needs_no_pictures(call_editar, monkeypatch):
    monkeypatch.setitem(random_model.GPT_PRESETS, "gpt-b", {"n_layer": 1, "n_head": 2, "dim": 32})
    small = VQConfig(codebook_size=64, channels=32, channel_multipliers=(1, 1), res_blocks=1)
    monkeypatch.setattr(random_model, "VQ16", small)
    result = call_editar(
        "bench", "throughput", "--model", "random:gpt-b", "--device", "cpu", "--steps", "2",
        "--strategy", "sequential", "--baseline-steps", "2",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["random_weights"] and said["data"] is None
    assert [(m["steps"], m["passes"]) for m in said["measurements"]] == [(2, 1023), (2, 1023)]
    assert b"random weights" in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--batch-sizes", "1,auto"), b"--batch-sizes 1,auto"),
        (("--quantize", "int4"), b"--quantize int4"),
        (("--dtype", "float32,int8"), b"--dtype int8"),
        (("--model", "random:gpt-huge"), b"random:gpt-xl"),
        (("--data", "nowhere"), b"nowhere"),
        (("--temperature", "-1"), b"temperature"),
        (("--device", "abacus"), b"--device abacus"),
        (("-o", "no/such/folder.json", "--steps", "1", "--no-baseline"), b"cannot be written"),
    ],
)
def test_wrong_words_are_told(bench, args, said):
    result = bench(*args)
    assert result.returncode in (1, 2)
    assert said in result.stderr
    assert b"Traceback" not in result.stderr
