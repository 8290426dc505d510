from pathlib import Path

import pytest
import torch

from editar_cli.checkpoints.editar import to_native, transformer_config
from editar_cli.checkpoints.llamagen import as_training_start, tokenizer_config, tokenizer_tensors
from editar_cli.errors import CheckpointError
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.tensorfiles import without_weights
from tests.published_files import editar_state, t2i_state, vq_state

FILE = Path("vq_ds16_t2i.pt")


def test_the_architecture_is_read_off_the_shapes() -> None:
    assert tokenizer_config(vq_state(), FILE) == VQConfig(
        codebook_size=32,
        codebook_dim=8,
        channels=32,
        channel_multipliers=(1, 2),
        res_blocks=1,
        latent_channels=24,
    )


def test_the_published_shapes_are_the_default_architecture() -> None:
    with without_weights():
        state = VQTokenizer(VQConfig()).state_dict()
    assert tokenizer_config(state, FILE) == VQConfig()


def test_the_usage_counter_is_dropped_and_nothing_else() -> None:
    state = vq_state()
    tensors = tokenizer_tensors(state, tokenizer_config(state, FILE), FILE)
    assert state.keys() - tensors.keys() == {"quantize.codebook_used"}
    assert all(tensors[name] is state[name] for name in tensors)


def test_names_missing_or_unexpected_are_told() -> None:
    state = vq_state()
    config = tokenizer_config(state, FILE)
    with pytest.raises(CheckpointError, match=r"unexpected: loss\.logvar"):
        tokenizer_tensors({**state, "loss.logvar": torch.ones(1)}, config, FILE)
    del state["decoder.conv_out.bias"]
    with pytest.raises(CheckpointError, match=r"missing: decoder\.conv_out\.bias"):
        tokenizer_tensors(state, config, FILE)


@pytest.mark.parametrize("name", ["encoder.conv_in.weight", "quantize.embedding.weight"])
def test_a_file_that_is_no_tokenizer_is_refused(name: str) -> None:
    state = vq_state()
    del state[name]
    with pytest.raises(CheckpointError, match=name):
        tokenizer_config(state, FILE)
    with pytest.raises(CheckpointError, match="no VQ tokenizer"):
        tokenizer_config(editar_state(), FILE)


def test_a_text_to_image_file_becomes_a_start_with_fixed_noise_for_the_null_image() -> None:
    state = t2i_state()
    start = as_training_start(state, 8, FILE)
    null_image = start.pop("img_uncond_embedding")
    assert start.keys() == state.keys()
    assert null_image.shape == (64, 16)
    # Normal noise over the square root of the width: 0.25 here.
    assert 0.22 < null_image.std() < 0.28
    assert torch.equal(null_image, as_training_start(state, 8, FILE)["img_uncond_embedding"])
    start["img_uncond_embedding"] = null_image
    config = transformer_config(start, FILE, n_head=2)
    assert config.grid == 8
    assert to_native(start, config, FILE)["null_image"].shape == (64, 16)


def test_an_editar_file_needs_no_start() -> None:
    with pytest.raises(CheckpointError, match="leave --start-grid out"):
        as_training_start(editar_state(), 4, FILE)
    with pytest.raises(CheckpointError, match="no LlamaGen transformer"):
        as_training_start(vq_state(), 4, FILE)
