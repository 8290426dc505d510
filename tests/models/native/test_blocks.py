import pytest
import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding.rows import Rows
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.native import compilers, has_instructions
from editar_cli.models.native.blocks import FusedBlocks

pytestmark = pytest.mark.skipif(
    not has_instructions() or not any(compilers()),
    reason="no AVX-512 BF16 here, or no C compiler",
)
CONFIG = GPTConfig(
    n_layer=3, n_head=3, dim=192, vocab_size=64, grid=8, text_tokens=6, text_dim=32, dropout=0.0
)


def untouched(dtype: torch.dtype = torch.bfloat16) -> EditARTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = EditARTransformer(CONFIG).eval().requires_grad_(False)
        for value in model.state_dict().values():
            value.add_(torch.randn_like(value) * 0.05)
    model = model.to(dtype)
    model.reset_derived()
    return model


def transformer(dtype: torch.dtype = torch.bfloat16, *, int8: bool = True) -> EditARTransformer:
    model = untouched(dtype)
    model.prepare_for_decoding(int8=int8)
    return model


def exact(model: EditARTransformer) -> EditARTransformer:
    """The same values in float32, every layer rounded to 8 bits as the given model's are."""
    plain = untouched().float()
    state = {name: value.float() for name, value in model.state_dict().items()}
    scales = [name for name in state if name.endswith(".scale")]
    for name in scales:
        weight = name.removesuffix("scale") + "weight"
        state[weight] *= state.pop(name)[:, None]
    left = plain.load_state_dict(state, strict=False)
    assert left.missing_keys == ["text_projection.fc1.weight", "text_projection.fc2.weight"]
    plain.reset_derived()
    return plain


def logits(
    model: EditARTransformer, sampling: SamplingConfig, parts: list[int], pictures: int = 2
) -> Tensor:
    """(pictures, codes fed, V): so many codes at a time are read behind the prefix."""
    noise = torch.Generator().manual_seed(3)
    source = torch.randint(64, (pictures, 64), generator=noise)
    text = torch.randn(pictures, 6, 32, generator=noise)
    codes = torch.randint(64, (pictures, 64), generator=noise)
    found, at = [], 0
    with torch.inference_mode():
        rows = Rows(model, pictures, sampling)
        rows.fill(0, source, text)
        for count in parts:
            found.append(rows.feed(codes[:, at : at + count], [at] * pictures))
            at += count
    return torch.cat(found, dim=1)


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingConfig(guidance=1.0),
        SamplingConfig(guidance=2.0),
        SamplingConfig(guidance=2.0, image_guidance=1.5),
        SamplingConfig(guidance=2.0, guidance_interval=4),
    ],
)
@pytest.mark.parametrize("parts", [[1] * 9, [2, 5, 1, 4]])
def test_all_blocks_at_once_are_nearer_to_float32_than_one_by_one(
    sampling: SamplingConfig, parts: list[int]
):
    model = transformer()
    assert model._fused is not None
    wanted = logits(exact(model), sampling, parts)
    fused = logits(model, sampling, parts)
    model._fused = None
    one_by_one = logits(model, sampling, parts)
    assert error(fused, wanted) < 0.03
    assert error(fused, wanted) < 1.1 * error(one_by_one, wanted)


def test_a_pass_of_many_reads_what_passes_of_one_read():
    model, sampling = transformer(), SamplingConfig(guidance=2.0)
    one = logits(model, sampling, [1] * 12)
    assert torch.equal(logits(model, sampling, [3, 4, 5]), one)


def test_rows_that_stand_at_different_places_get_what_they_get_alone():
    model, sampling = transformer(), SamplingConfig(guidance=2.0)
    noise = torch.Generator().manual_seed(5)
    source = torch.randint(64, (2, 64), generator=noise)
    text = torch.randn(2, 6, 32, generator=noise)
    codes = torch.randint(64, (2, 64), generator=noise)
    with torch.inference_mode():
        together, apart = Rows(model, 2, sampling), Rows(model, 2, sampling)
        for rows in (together, apart):
            rows.fill(0, source, text)
            rows.feed(codes[:, :5], [0, 0])
        apart.feed(codes[:, 5:8], [5, 5])
        found = together.feed(torch.stack([codes[0, 5:7], codes[1, 3:5]]), [5, 3])
        wanted = Rows(model, 2, sampling)
        wanted.fill(0, source, text)
        wanted.feed(codes[:, :3], [0, 0])
        two = wanted.feed(codes[:, 3:5], [3, 3])
        assert torch.equal(found[1], two[1])
        assert torch.equal(found[0], wanted.feed(codes[:, 5:7], [5, 5])[0])


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_the_number_of_threads_changes_nothing(threads: int):
    model, sampling = transformer(), SamplingConfig(guidance=2.0)
    wanted, before = logits(model, sampling, [1, 2]), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = logits(model, sampling, [1, 2])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, wanted)


def test_other_models_run_layer_by_layer(monkeypatch: pytest.MonkeyPatch):
    assert transformer(int8=False)._fused is None
    assert transformer(torch.float32)._fused is None
    monkeypatch.setattr("editar_cli.models.native.blocks.kernels", lambda: None)
    assert FusedBlocks.of(transformer().blocks) is None


def test_many_positions_and_those_without_a_prefix_run_layer_by_layer():
    model = transformer()
    fused = model._fused
    assert fused is not None
    window = model.new_cache(1, 64).at(slice(0, 1), slice(0, 2), 64)
    bias = torch.zeros(1, 1, 4, 64)
    x = torch.zeros(1, 2, 192, dtype=torch.bfloat16)
    assert fused.suits(x, window, bias)
    assert not fused.suits(x, window, None) and not fused.suits(x, None, bias)
    assert not fused.suits(x.expand(32, -1, -1), window, bias)
    assert not fused.suits(x.float(), window, bias)
    assert not fused.suits(x, window, bias.bfloat16())
