import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from editar_cli.checkpoints.lora import LORA_FACTS, LORA_WEIGHTS, LoraChoice, with_loras
from editar_cli.errors import TrainingError
from editar_cli.training.adapters import add_adapters, save_adapters
from editar_cli.training.recipe import LoraSettings
from tests.tiny_transformer import tiny_inputs, tiny_transformer


def test_adapters_alone_are_trained_and_begin_as_nothing():
    plain, adapted = tiny_transformer(), tiny_transformer()
    add_adapters(adapted, LoraSettings(rank=3, targets=("qkv", "down")))
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 2 * 2 and all("lora_" in name for name in trained)
    codes, _ = tiny_inputs(plain, 2)
    turns = plain.turns[: codes.shape[1]]
    with torch.inference_mode():
        first, second = (m.hidden(m.embed_codes(codes), turns) for m in (plain, adapted))
    torch.testing.assert_close(first, second)


def test_what_is_written_gives_the_trained_model_again(tmp_path: Path):
    transformer = tiny_transformer()
    base = {name: value.clone() for name, value in transformer.state_dict().items()}
    adapted = add_adapters(transformer, LoraSettings(rank=3, alpha=5.0))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in transformer.parameters():
            if p.requires_grad:
                p.copy_(0.1 * torch.randn(p.shape, generator=noise))
    codes, _ = tiny_inputs(transformer, 2)
    turns = transformer.turns[: codes.shape[1]]
    with torch.inference_mode():
        expected = transformer.hidden(transformer.embed_codes(codes), turns)
    for _ in range(2):
        save_adapters(adapted, tmp_path / "lora", base="tiny", training={"pairs": 3})
    again = tiny_transformer(seed=1)
    again.load_state_dict(with_loras(base, [LoraChoice(path=tmp_path / "lora")]))
    with torch.inference_mode():
        found = again.hidden(again.embed_codes(codes), turns)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["lora"]
    assert len(load_file(tmp_path / "lora" / LORA_WEIGHTS)) == 2 * 4 * 2
    facts = json.loads((tmp_path / "lora" / LORA_FACTS).read_text())
    assert facts["base"] == "tiny" and facts["training"] == {"pairs": 3}


def test_a_target_that_is_no_layer_is_named():
    with pytest.raises(TrainingError, match=r"called 'query'; there are: .*gate_up.*qkv"):
        add_adapters(tiny_transformer(), LoraSettings(targets=("qkv", "query")))
