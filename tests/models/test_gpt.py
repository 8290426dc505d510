import pytest
import torch

from editar_cli.models.attention import causal_attention
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.linear import PackedLinear, can_pack
from editar_cli.models.presets import GPT_PRESETS
from editar_cli.tensorfiles import without_weights
from tests.tiny_transformer import EQUAL_BITS, SHAPE, tiny_inputs, tiny_transformer

XL = GPTConfig(**GPT_PRESETS["gpt-xl"], vocab_size=16384, grid=32)
XL_VALUES, ADAPTER_VALUES = 779_234_560, 3_932_928


def values(config: GPTConfig) -> int:
    with without_weights():
        return sum(v.numel() for v in EditARTransformer(config).state_dict().values())


def sequence(model: EditARTransformer, batch: int = 2) -> torch.Tensor:
    """(B, S + T + S - 1, D) embeddings of random codes and text."""
    codes, text = tiny_inputs(model, batch)
    output = tiny_inputs(model, batch, seed=1)[0][:, :-1]
    parts = [model.embed_codes(codes), model.embed_text(text), model.embed_codes(output)]
    return torch.cat(parts, dim=1)


def test_gpt_xl_holds_as_many_values_as_the_published_file():
    assert values(XL) == XL_VALUES


def test_the_adapter_of_gpt_xl_adds_as_many_values_as_the_published_one():
    with_adapter = GPTConfig(
        **GPT_PRESETS["gpt-xl"], vocab_size=16384, grid=32, adapter_dim=768
    )  # fmt: skip
    assert values(with_adapter) == XL_VALUES + ADAPTER_VALUES


def test_state_names_are_the_documented_ones():
    block = (
        "attention_norm.weight", "attention.qkv.weight", "attention.out.weight",
        "mlp_norm.weight", "mlp.gate_up.weight", "mlp.down.weight",
    )  # fmt: skip
    expected = {
        "code_embedding.weight", "text_projection.fc1.weight", "text_projection.fc2.weight",
        "null_text", "null_image", "norm.weight", "head.weight",
        *(f"blocks.{i}.{name}" for i in range(2) for name in block),
    }  # fmt: skip
    assert tiny_transformer().state_dict().keys() == expected
    with_adapter = tiny_transformer(adapter_dim=6).state_dict()
    assert with_adapter.keys() - expected == {"adapter.weight", "adapter.bias"}


def test_the_null_embeddings_are_fixed():
    trained = dict(tiny_transformer().named_parameters())
    assert "null_text" not in trained and "null_image" not in trained


@pytest.mark.parametrize(
    ("dim", "hidden"), [(768, 2048), (1024, 2816), (1280, 3584), (1536, 4096), (3200, 8704)]
)
def test_the_hidden_size_is_eight_thirds_rounded_up_to_256(dim: int, hidden: int):
    config = GPTConfig(n_layer=1, n_head=8, dim=dim, vocab_size=8, grid=2)
    assert config.hidden_dim == hidden


@pytest.mark.parametrize("changes", [{"n_layer": 0}, {"grid": -1}, {"vocab_size": 0}])
def test_sizes_below_one_are_refused(changes: dict[str, int]):
    with pytest.raises(ValueError, match="must be positive"):
        GPTConfig(**{**SHAPE, **changes})


def test_a_width_that_does_not_fit_the_heads_is_refused():
    with pytest.raises(ValueError, match="dim 36 must be divisible by 4 x n_head 2"):
        GPTConfig(**{**SHAPE, "dim": 36})


def test_no_position_sees_a_later_one():
    model = tiny_transformer()
    x = sequence(model)
    changed = x.clone()
    changed[:, 25:] += 1.0
    with torch.inference_mode():
        first, second = (model.hidden(v, model.turns[: v.shape[1]]) for v in (x, changed))
    assert torch.equal(first[:, :25], second[:, :25])
    assert (first[:, 25:] != second[:, 25:]).all()


def test_text_positions_look_at_everything_before_them_alike():
    # Their queries and keys are zero, so attention there is a plain mean, whatever the order.
    model = tiny_transformer(n_layer=1)
    codes, text = tiny_inputs(model, 2)
    source, last = model.config.codes, model.config.codes + model.config.text_tokens
    with torch.inference_mode():
        hidden = [
            model.hidden(
                torch.cat([model.embed_codes(order), model.embed_text(text)], dim=1),
                model.turns[:last],
            )
            for order in (codes, codes.flip(1))
        ]
    torch.testing.assert_close(hidden[0][:, source:], hidden[1][:, source:])
    assert not torch.allclose(hidden[0][:, :source].sum(1), hidden[1][:, :source].sum(1), atol=1e-3)


def test_a_cache_filled_in_pieces_gives_what_one_pass_gives():
    model = tiny_transformer()
    x = sequence(model)
    length = x.shape[1]
    hidden = torch.full((length, length), -torch.inf).triu(1)
    with torch.inference_mode():
        whole = model.hidden(x, model.turns[:length])
        cache = model.new_cache(2, length)
        pieces = []
        for start, end in ((0, 10), (10, 11), (11, 30), (30, length)):
            bias = None if start == 0 else hidden[None, None, start:end, :end]
            window = cache.at(slice(0, 2), slice(start, end), end)
            turns = model.turns[start:end]
            pieces.append(model.hidden(x[:, start:end], turns, window=window, bias=bias))
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=1e-5)


def test_what_stands_behind_a_prefix_needs_a_bias():
    model = tiny_transformer()
    cache = model.new_cache(2, 20)
    x = sequence(model)
    with torch.inference_mode(), pytest.raises(AssertionError, match="needs a bias"):
        window = cache.at(slice(0, 2), slice(8, 12), 12)
        model.hidden(x[:, 8:12], model.turns[8:12], window=window)


def test_layers_for_decoding_give_what_plain_ones_give():
    plain, packed = tiny_transformer(), tiny_transformer().requires_grad_(False)
    packed.prepare_for_decoding()
    x = sequence(plain).detach()
    with torch.inference_mode():
        expected = plain.logits(plain.hidden(x, plain.turns[: x.shape[1]]))
        found = packed.logits(packed.hidden(x, packed.turns[: x.shape[1]]))
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5)
    linear = sum(isinstance(layer, torch.nn.Linear) for layer in packed.modules())
    swapped = sum(isinstance(layer, PackedLinear) for layer in packed.modules())
    # Four in each of two blocks, two for the text, the head.
    assert (linear, swapped) == ((0, 11) if can_pack(torch.float32) else (11, 0))


@EQUAL_BITS
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dim": 64, "text_tokens": 24},
        # A number of values that is no multiple of 32 leaves a rest, and GELU rounds rests
        # otherwise.
        pytest.param({"dim": 16}, marks=pytest.mark.xfail),
    ],
)
def test_a_text_is_embedded_to_the_same_bits_beside_any_others(changes: dict[str, int]):
    model = tiny_transformer(**changes).requires_grad_(False)
    model.prepare_for_decoding()
    _, text = tiny_inputs(model, 8)
    whole = model.embed_text(text)
    for batch in (1, 2, 3, 5):
        assert torch.equal(model.embed_text(text[:batch]), whole[:batch])


@EQUAL_BITS
@pytest.mark.parametrize(
    "threads",
    [
        1,
        2,
        # Where threads meet inside a row, SiLU rounds some values otherwise.
        pytest.param(3, marks=pytest.mark.xfail),
    ],
)
def test_a_position_gets_the_same_bits_from_the_mlp_beside_any_others(threads: int):
    model = tiny_transformer(dim=96, n_head=2).requires_grad_(False)
    model.prepare_for_decoding()
    x = torch.randn(1, 600, 96, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = model.blocks[0].mlp(x)
        for count in (1, 5, 128, 257, 263, 400):
            assert torch.equal(model.blocks[0].mlp(x[:, :count]), whole[:, :count]), count
    finally:
        torch.set_num_threads(before)


def test_dropout_is_all_that_training_mode_changes():
    plain, dropping = tiny_transformer(dropout=0.0), tiny_transformer(dropout=0.5)
    codes, text = tiny_inputs(plain, 2)
    turns = plain.turns[: plain.config.text_tokens]
    with torch.inference_mode():
        quiet = plain.hidden(plain.embed_text(text), turns)
        trained = plain.train().hidden(plain.embed_text(text), turns)
        # Attention is written out in training: the same but for rounding.
        torch.testing.assert_close(trained, quiet, rtol=0, atol=2e-5)
        assert torch.equal(dropping.hidden(dropping.embed_text(text), turns), quiet)
        dropping.train()
        assert (dropping.embed_text(text) == 0).float().mean() == pytest.approx(0.5, abs=0.1)
        # Image codes themselves are never dropped, only what blocks make of them.
        assert torch.equal(dropping.embed_codes(codes), plain.embed_codes(codes))
        assert not torch.equal(dropping.hidden(plain.embed_text(text), turns), quiet)


def test_bfloat16_stays_near_float32_and_gives_float32_logits():
    model = tiny_transformer()
    codes, _ = tiny_inputs(model, 2)
    turns = model.turns[: codes.shape[1]]
    with torch.inference_mode():
        exact = model.logits(model.hidden(model.embed_codes(codes), turns))
        half = tiny_transformer().to(torch.bfloat16)
        half.reset_derived()
        assert half.turns.dtype == torch.float32
        hidden = half.hidden(half.embed_codes(codes), half.turns[: codes.shape[1]])
        rough = half.logits(hidden)
    assert hidden.dtype == torch.bfloat16
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.02 * exact.std()
    assert half.new_cache(1, 3).keys.dtype == torch.bfloat16


def test_a_model_built_without_memory_gets_its_rotary_table_back():
    with torch.device("meta"):
        model = EditARTransformer(GPTConfig(**SHAPE))
    assert model.turns.is_meta
    model.reset_derived()
    assert torch.equal(model.turns, tiny_transformer().turns)


def test_adapter_features_are_patches_of_two_by_two_cells_in_reading_order():
    model = tiny_transformer(adapter_dim=6)
    hidden = torch.randn(1, 16, 32)
    with torch.inference_mode():
        features = model.adapter_features(hidden)
        normal = model.norm(hidden)[0]
    assert features.shape == (1, 6, 2, 2)
    # The patch at row 1, column 0 of a 4 x 4 grid holds cells 8, 9, 12 and 13.
    cells = normal[[8, 9, 12, 13]].T.reshape(32, 2, 2)
    expected = torch.einsum("ocyx,cyx->o", model.adapter.weight, cells) + model.adapter.bias
    torch.testing.assert_close(features[0, :, 1, 0], expected)


def test_training_and_evaluation_agree_without_dropout(monkeypatch: pytest.MonkeyPatch):
    calls = []

    def counted(*args):
        calls.append(args)
        return causal_attention(*args)

    monkeypatch.setattr("editar_cli.models.gpt.causal_attention", counted)
    model = tiny_transformer(dropout=0.0)
    x = sequence(model).detach()
    gradients, outputs = [], []
    for training in (False, True):
        model.train(training).zero_grad()
        hidden = model.hidden(x, model.turns[: x.shape[1]])
        model.logits(hidden).logsumexp(-1).mean().backward()
        outputs.append(hidden.detach())
        gradients.append(
            {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        )
    assert len(calls) == model.config.n_layer, "training alone writes it out"
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=2e-5)
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, rtol=1e-3, atol=1e-6)
