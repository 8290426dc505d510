import pytest
import torch

from editar_cli.benchmarks import random_model
from editar_cli.benchmarks.random_model import RandomText, random_bundle
from editar_cli.errors import UsageError
from editar_cli.models.vq import VQConfig

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size and a tokenizer that a test can afford."""
    monkeypatch.setitem(
        random_model.GPT_PRESETS, "gpt-tiny", {"n_layer": 2, "n_head": 2, "dim": 32}
    )
    monkeypatch.setattr(
        random_model,
        "VQ16",
        VQConfig(codebook_size=64, channels=32, channel_multipliers=(1, 1), res_blocks=1),
    )


def test_a_random_model_is_the_same_again_in_its_number_format():
    one, two = (
        random_bundle("random:gpt-tiny", device=CPU, dtype=torch.bfloat16, grid=4).transformer
        for _ in range(2)
    )
    state = one.state_dict()
    assert all(value.dtype == torch.bfloat16 for value in state.values())
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in state.items())
    assert state["head.weight"].float().std().item() == pytest.approx(0.02, rel=0.1)
    assert state["null_image"].float().std().item() == pytest.approx(0.02, rel=0.1)
    assert state["blocks.1.mlp_norm.weight"].eq(1).all()
    assert not torch.equal(
        state["blocks.0.attention.qkv.weight"], state["blocks.1.attention.qkv.weight"]
    )
    assert not one.training and not any(p.requires_grad for p in one.parameters())


def test_the_rotary_table_is_a_real_one():
    model = random_bundle("random:gpt-tiny", device=CPU, dtype=torch.bfloat16, grid=4).transformer
    assert torch.equal(model.turns, model._turns()) and model.turns.dtype == torch.float32


def test_its_parts_fit_together():
    bundle = random_bundle("random:gpt-tiny", device=CPU, dtype=torch.float32, grid=4)
    assert bundle.config.name == "random:gpt-tiny"
    assert bundle.config.image_size == 8
    codes = bundle.tokenizer.encode(torch.rand(1, 3, 8, 8) * 2 - 1)
    assert codes.shape == (1, 4, 4)
    assert bundle.tokenizer.decode(codes).shape == (1, 3, 8, 8)
    assert bundle.text_encoder.encode(["a"]).shape == (1, 120, 2048)


def test_a_sentence_has_its_own_noise():
    encoder = RandomText()
    first, second = encoder.encode(["one", "two"])
    assert torch.equal(encoder.encode(["one"])[0], first)
    assert not torch.equal(first, second)


def test_an_unknown_size_names_the_known_ones():
    with pytest.raises(UsageError, match=r"random:gpt-huge.*random:gpt-b.*random:gpt-3b"):
        random_bundle("random:gpt-huge", device=CPU, dtype=torch.float32)
