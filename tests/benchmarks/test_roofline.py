import pytest
import torch

from editar_cli.benchmarks.roofline import (
    Floor,
    Machine,
    cache_bytes,
    floor_of_pass,
    measure_machine,
    weight_bytes,
    weight_count,
)
from editar_cli.config import SamplingConfig
from editar_cli.decoding.layout import Layout
from editar_cli.models.gpt import GPTConfig
from tests.tiny_transformer import tiny_transformer

# The tiny model has 2 blocks of width 32, 256 inside, and 40 codes.
PRODUCTS = 2 * (4 * 32 * 32 + 3 * 32 * 256) + 32 * 40
NORMS = 5 * 32


def test_the_weights_of_a_pass_are_counted_as_they_are_stored():
    model = tiny_transformer()
    assert weight_count(model.config) == PRODUCTS
    assert weight_bytes(model) == 4 * (PRODUCTS + NORMS)
    model.prepare_for_decoding()
    assert weight_bytes(model) == 4 * (PRODUCTS + NORMS)
    # One byte a weight, and a scale for each output channel.
    model = tiny_transformer()
    model.prepare_for_decoding(int8=True)
    channels = 2 * (3 * 32 + 32 + 2 * 256 + 32) + 40
    assert weight_bytes(model) == PRODUCTS + 4 * (NORMS + channels)


def test_weights_of_gpt_xl_are_those_of_the_paper():
    config = GPTConfig(n_layer=36, n_head=20, dim=1280, vocab_size=16384, grid=32)
    # 775 M with its embedding of 16384 codes and the projection of the text.
    outside = 16384 * 1280 + 2048 * 1280 + 1280 * 1280
    assert weight_count(config) + outside == pytest.approx(775e6, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "branches"),
    [
        ({"guidance": 1.0}, 1),
        ({"guidance": 3.0}, 2),
        ({"guidance": 3.0, "image_guidance": 2.0}, 3),
    ],
)
def test_keys_and_values_are_averaged_over_the_picture(settings: dict[str, float], branches: int):
    config = tiny_transformer().config
    layout = Layout.of(config, SamplingConfig(**settings))
    # Codes 0 .. 14 are fed; on average 8 of them stand, with those of this step.
    positions = layout.prefix + branches * 8
    assert cache_bytes(config, layout, 2) == 2 * 2 * 32 * 2 * positions


def test_the_floor_is_the_later_of_memory_and_arithmetic():
    machine = Machine(copy=1e9, read=100.0, rates={"float32": 1000.0, "bfloat16": 4000.0})
    floor = floor_of_pass(machine, weights=150, cache=50.0, products=1500, dtype=torch.float32)
    assert floor == Floor(memory=2.0, compute=3.0)
    assert floor.seconds == 3.0
    faster = floor_of_pass(machine, weights=150, cache=50.0, products=1500, dtype=torch.bfloat16)
    assert (faster.compute, faster.seconds) == (0.75, 2.0)


def test_a_machine_is_measured_in_every_format():
    machine = measure_machine(
        torch.device("cpu"), [torch.float32, torch.bfloat16], nbytes=1 << 16, side=16
    )
    assert machine.rates.keys() == {"float32", "bfloat16"}
    assert min(machine.copy, machine.read, *machine.rates.values()) > 0
