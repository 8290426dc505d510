from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from editar_cli.checkpoints.lora import LoraChoice
from editar_cli.checkpoints.merge import merge
from editar_cli.checkpoints.native import load_bundle, read_config, verify_bundle
from editar_cli.errors import UsageError
from tests.bundle_files import write_tiny_bundle
from tests.lora_files import tiny_lora_layers, write_lora


def test_the_merged_bundle_is_the_model_with_its_adapter(tiny_bundle: Path, tmp_path: Path) -> None:
    layers = tiny_lora_layers(dim=32)
    lora = LoraChoice(path=write_lora(tmp_path / "look", layers), scale=0.5)
    merge(tiny_bundle, [lora], tmp_path / "merged", dtype=torch.float32)
    verify_bundle(tmp_path / "merged")
    together = load_bundle(tiny_bundle, loras=[lora])
    merged = load_bundle(tmp_path / "merged")
    for part in ("transformer", "tokenizer"):
        state = getattr(merged, part).state_dict()
        for name, value in getattr(together, part).state_dict().items():
            assert torch.equal(value, state[name]), name
    sentence = ["make it snowy"]
    assert torch.equal(together.text_encoder.encode(sentence), merged.text_encoder.encode(sentence))
    config = read_config(tmp_path / "merged")
    assert config.name == "merged"
    assert config.training["merged"] == {"base": "tiny", "loras": [lora.identity]}


def test_tensors_keep_their_format_unless_another_is_asked_for(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "half", dtype=torch.float16, tokenizer_dtype=torch.float16)
    lora = LoraChoice(path=write_lora(tmp_path / "look"))
    merge(tmp_path / "half", [lora], tmp_path / "merged", name="snowy")
    stored = load_file(tmp_path / "merged" / "transformer.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert read_config(tmp_path / "merged").name == "snowy"


def test_the_model_itself_is_not_replaced(tiny_bundle: Path, tmp_path: Path) -> None:
    lora = LoraChoice(path=write_lora(tmp_path / "look"))
    with pytest.raises(UsageError, match="is the model itself; name another folder"):
        merge(tiny_bundle, [lora], tiny_bundle)
