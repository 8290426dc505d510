from pathlib import Path

import pytest
import torch

from editar_cli.checkpoints.editar import (
    published_names,
    to_native,
    to_published,
    transformer_config,
)
from editar_cli.errors import CheckpointError, UsageError
from editar_cli.models.gpt import EditARTransformer
from editar_cli.tensorfiles import module_shapes
from tests.published_files import editar_state, t2i_state

FILE = Path("editar_release.pt")


def native_state(published: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    config = transformer_config(published, FILE, n_head=2)
    return {name: value.make() for name, value in to_native(published, config, FILE).items()}


def test_the_architecture_is_read_off_the_shapes() -> None:
    config = transformer_config(editar_state(n_layer=3, alignment=True), FILE, n_head=2)
    assert (config.n_layer, config.n_head, config.dim, config.vocab_size) == (3, 2, 16, 32)
    assert (config.grid, config.text_tokens, config.text_dim) == (4, 6, 12)
    assert config.adapter_dim == 24
    assert transformer_config(editar_state(), FILE, n_head=2).adapter_dim is None


def test_published_sizes_know_their_heads_and_others_must_be_told() -> None:
    state = editar_state(n_layer=12)
    state["tok_embeddings.weight"] = torch.empty(32, 768, device="meta")
    assert transformer_config(state, FILE).n_head == 12
    with pytest.raises(UsageError, match=r"2 layers of width 16 .* --n-head"):
        transformer_config(editar_state(), FILE)


def test_native_names_and_shapes_are_those_of_the_model() -> None:
    state = editar_state(alignment=True)
    config = transformer_config(state, FILE, n_head=2)
    native = {name: value.shape for name, value in to_native(state, config, FILE).items()}
    assert native == module_shapes(EditARTransformer(config))


def test_the_two_gates_are_stacked_w1_first() -> None:
    state = editar_state()
    gate_up = native_state(state)["blocks.1.mlp.gate_up.weight"]
    assert torch.equal(gate_up[:256], state["layers.1.feed_forward.w1.weight"])
    assert torch.equal(gate_up[256:], state["layers.1.feed_forward.w3.weight"])


@pytest.mark.parametrize("alignment", [False, True])
def test_there_and_back_gives_the_published_tensors(alignment: bool) -> None:
    state = editar_state(alignment=alignment)
    back = to_published(native_state(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


def test_every_native_name_has_its_published_ones() -> None:
    assert published_names("null_image") == ("img_uncond_embedding",)
    assert published_names("null_text") == ("cls_embedding.uncond_embedding",)
    assert published_names("blocks.7.mlp.down.weight") == ("layers.7.feed_forward.w2.weight",)


def test_derived_tables_are_dropped_by_name() -> None:
    state = editar_state()
    extended = {**state, "freqs_cis": torch.zeros(5, 4, 2), "causal_mask": torch.zeros(3, 3)}
    assert native_state(extended).keys() == native_state(state).keys()


def test_anything_else_unknown_or_missing_is_named() -> None:
    state = editar_state()
    config = transformer_config(state, FILE, n_head=2)
    for name in ("layers.1.feed_forward.w3.weight", "norm.weight", "output.weight"):
        short = {key: value for key, value in state.items() if key != name}
        with pytest.raises(CheckpointError, match=f"missing: {name}"):
            to_native(short, config, FILE)
    for name in ("layers.1.attention.wqkv.bias", "ema_decay", "alignment2.weight"):
        with pytest.raises(CheckpointError, match=f"unexpected: {name}"):
            to_native({**state, name: torch.ones(1)}, config, FILE)


def test_a_wrong_shape_is_named_with_both_shapes() -> None:
    state = editar_state()
    config = transformer_config(state, FILE, n_head=2)
    state["output.weight"] = torch.ones(33, 16)
    with pytest.raises(CheckpointError, match=r"output.weight is \(33, 16\), expected \(32, 16\)"):
        to_native(state, config, FILE)


def test_text_to_image_weights_are_told_apart() -> None:
    with pytest.raises(CheckpointError, match=r"text-to-image.*--start-grid"):
        transformer_config(t2i_state(), FILE, n_head=2)


def test_a_null_image_that_is_no_square_is_refused() -> None:
    state = editar_state()
    state["img_uncond_embedding"] = torch.ones(15, 16)
    with pytest.raises(CheckpointError, match="15 rows"):
        transformer_config(state, FILE, n_head=2)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not a transformer that can be built"):
        transformer_config(editar_state(), FILE, n_head=3)


def test_tensors_are_made_only_when_asked_for_and_in_the_format_wanted() -> None:
    state = editar_state()
    config = transformer_config(state, FILE, n_head=2)
    native = to_native(state, config, FILE, torch.bfloat16)
    assert {value.dtype for value in native.values()} == {torch.bfloat16}
    gate = native["blocks.0.mlp.gate_up.weight"]
    state["layers.0.feed_forward.w1.weight"].zero_()
    assert gate.make()[:256].abs().max() == 0
