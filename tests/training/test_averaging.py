import pytest
import torch
from torch import nn

from editar_cli.training.averaging import WeightAverage


def module_of(value: float) -> nn.Linear:
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(value)
        module.bias.fill_(-value)
    return module


def test_the_average_follows_the_formula_with_its_warm_up():
    module = module_of(0.0)
    average = WeightAverage(module, 0.9)
    expected = 0.0
    for step in range(1, 120):
        with torch.no_grad():
            module.weight.fill_(step)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert decay == 0.9
    assert average.state()["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_the_module_holds_the_average_inside_the_block_only():
    module = module_of(1.0)
    average = WeightAverage(module, 0.5)
    with torch.no_grad():
        module.weight.fill_(3.0)
    with pytest.raises(ValueError, match="stop"), average.in_place():
        assert module.weight.item() == 1.0
        raise ValueError("stop")
    assert module.weight.item() == 3.0


def test_frozen_weights_are_not_averaged():
    module = module_of(1.0)
    module.bias.requires_grad_(False)
    average = WeightAverage(module, 0.5)
    assert average.state().keys() == {"weight"}
    with torch.no_grad():
        module.bias.fill_(7.0)
    with average.in_place():
        assert module.bias.item() == 7.0


def test_half_precision_weights_are_averaged_in_float32():
    module = module_of(1.0).to(torch.bfloat16)
    average = WeightAverage(module, 0.999)
    with torch.no_grad():
        module.weight.fill_(1.0078125)
    average.update(100_000)
    # bfloat16 has no value between 1 and 1.0078.
    assert average.state()["weight"].item() == pytest.approx(1 + 0.001 * 0.0078125, rel=1e-6)


def test_a_state_of_another_module_is_refused():
    with pytest.raises(KeyError, match="bias"):
        WeightAverage(module_of(0.0), 0.9).load_state({"weight": torch.zeros(1, 1)})
