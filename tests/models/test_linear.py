from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editar_cli.models import linear
from editar_cli.models.linear import (
    INT8_KERNEL_ROWS,
    Int8Linear,
    PackedLinear,
    can_pack,
    faster,
    has_int8_kernel,
    quantize,
)

SHAPES = [(16, 48), (64, 40), (320, 960), (37, 5)]
packs = pytest.mark.skipif(not can_pack(torch.float32), reason="this PyTorch packs no weights")
packs_half = pytest.mark.skipif(
    not can_pack(torch.bfloat16), reason="this processor or PyTorch packs no bfloat16"
)
int8_kernel = pytest.mark.skipif(
    not has_int8_kernel("cpu", torch.bfloat16), reason="this PyTorch has no int8 product"
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weights(inputs: int, outputs: int) -> Tensor:
    return random(outputs, inputs, seed=inputs) / inputs**0.5


@pytest.fixture
def fresh() -> None:
    """What was found out about this machine is found out again."""
    can_pack.cache_clear()
    has_int8_kernel.cache_clear()
    yield
    can_pack.cache_clear()
    has_int8_kernel.cache_clear()


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's operators alone."""
    monkeypatch.setattr(linear, "kernels", lambda: None)


@packs
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (65,), (1, 1), (3, 7), (2, 1, 3), (1, 1, 1)])
def test_a_packed_layer_is_the_plain_one(inputs: int, outputs: int, shape: tuple[int, ...]):
    weight, x = weights(inputs, outputs), random(*shape, inputs)
    found = PackedLinear(weight)(x)
    assert found.shape == (*shape, outputs)
    torch.testing.assert_close(found, F.linear(x, weight), rtol=1e-5, atol=1e-5)


@packs
def test_a_vector_and_strides_are_taken():
    weight, x = weights(64, 40), random(6, 128)
    layer = PackedLinear(weight)
    torch.testing.assert_close(layer(x[0, :64]), F.linear(x[0, :64], weight), rtol=0, atol=1e-5)
    for view in (x[:, 64:], x[::2, :64], random(64, 6).T, x[:1, ::2]):
        torch.testing.assert_close(layer(view), F.linear(view, weight), rtol=0, atol=1e-5)


@packs_half
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_a_packed_layer_of_bfloat16_is_the_plain_one_but_for_rounding(rows: int):
    weight, x = weights(320, 96).bfloat16(), random(rows, 320).bfloat16()
    found = PackedLinear(weight)(x)
    assert found.dtype == torch.bfloat16
    wanted = F.linear(x.float(), weight.float())
    torch.testing.assert_close(found.float(), wanted, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_a_row_gets_the_same_to_the_last_bit_beside_any_others(
    dtype: torch.dtype, inputs: int, outputs: int
):
    if not can_pack(dtype):
        pytest.skip("this machine packs no weights of this format")
    layer = PackedLinear(weights(inputs, outputs).to(dtype))
    x = random(300, inputs).to(dtype)
    whole = layer(x)
    for rows in (*range(1, 40), 63, 64, 65, 127, 128, 129, 200, 257, 299):
        assert torch.equal(layer(x[:rows]), whole[:rows]), rows
        assert torch.equal(layer(x[-rows:]), whole[-rows:]), rows
    assert torch.equal(layer(x.view(3, 10, 10, inputs)), whole.view(3, 10, 10, outputs))


def test_a_packed_layer_knows_its_memory():
    if can_pack(torch.float32):
        assert PackedLinear(weights(64, 128)).nbytes == 64 * 128 * 4


def test_no_weight_moves_by_more_than_half_a_scale():
    weight = random(50, 30) * torch.logspace(-4, 4, 50)[:, None]
    values, scale = quantize(weight)
    assert values.dtype == torch.int8 and scale.shape == (50,)
    assert values.abs().amax(dim=1).tolist() == [127] * 50, "the largest of a row is 127"
    moved = (values.float() * scale[:, None] - weight).abs()
    assert (moved <= 0.5001 * scale[:, None]).all()
    assert (moved.amax(dim=1) > 0.4 * scale).any(), "the bound is met"


def test_a_row_of_zeros_stays_one():
    values, scale = quantize(torch.zeros(2, 4))
    assert not values.any() and scale.isfinite().all() and (scale > 0).all()


@pytest.mark.parametrize("rows", [1, 5, INT8_KERNEL_ROWS - 1, INT8_KERNEL_ROWS, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bits_stay_near_the_plain_layer(dtype: torch.dtype, rows: int):
    weight, x = weights(320, 96), random(rows, 320)
    found = Int8Linear(weight.to(dtype))(x.to(dtype))
    assert found.dtype == dtype and found.shape == (rows, 96)
    wanted = F.linear(x, weight)
    # Half a scale at most per weight: 1 / 254 of the largest of each row, here 0.16 to 0.25.
    error = (found.float() - wanted).abs()
    bound = 0.5 * quantize(weight)[1] * x.abs().sum(dim=1, keepdim=True)
    assert (error <= bound + 2**-6 * wanted.abs() + 1e-2).all()
    assert error.mean() < 0.02 * wanted.abs().mean()


@int8_kernel
@pytest.mark.usefixtures("no_kernels")
def test_both_ways_of_an_eight_bit_product_agree_within_bfloat16_rounding():
    layer = Int8Linear(weights(320, 96).bfloat16())
    x = random(INT8_KERNEL_ROWS, 320).bfloat16()
    unpacked = layer(x)
    by_kernel = torch.cat([layer(x[:20]), layer(x[20:])])
    exact = F.linear(x.double(), layer.weight.double()) * layer.scale.double()
    for found in (unpacked, by_kernel):
        torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=2**-9)


@int8_kernel
@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("rows", [INT8_KERNEL_ROWS - 1, INT8_KERNEL_ROWS])
def test_few_rows_go_through_the_kernel(monkeypatch: pytest.MonkeyPatch, rows: int):
    layer = Int8Linear(weights(64, 48).bfloat16())
    plain: list[int] = []

    def counted(x: Tensor, weight: Tensor) -> Tensor:
        plain.append(len(x))
        return torch.einsum("ni,oi->no", x, weight)

    monkeypatch.setattr(linear.F, "linear", counted)
    assert layer(random(rows, 64).bfloat16()).shape == (rows, 48)
    assert plain == ([] if rows < INT8_KERNEL_ROWS else [rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bit_layers_take_any_number_of_dimensions(dtype: torch.dtype):
    layer = Int8Linear(weights(64, 48).to(dtype))
    x = random(2, 3, 4, 64).to(dtype)
    found = layer(x)
    assert found.shape == (2, 3, 4, 48)
    torch.testing.assert_close(found.view(24, 48), layer(x.view(24, 64)))
    torch.testing.assert_close(layer(x[0, 0, 0]), found[0, 0, 0])


def test_an_eight_bit_layer_takes_a_quarter_of_float32():
    layer = Int8Linear(weights(64, 128))
    assert layer.nbytes == 64 * 128 + 128 * 4
    assert Int8Linear(weights(64, 128).bfloat16()).nbytes == 64 * 128 + 128 * 2


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(16)
        self.up = nn.Linear(16, 24, bias=False)
        self.steps = nn.Sequential(nn.Linear(24, 16, bias=False), nn.Dropout(0.5))
        self.embedding = nn.Embedding(4, 16)
        self.patches = nn.Conv2d(3, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.steps(self.up(self.norm(x)))
        return out


@pytest.mark.parametrize("int8", [False, pytest.param(True)])
def test_linear_layers_alone_are_swapped_wherever_they_are(int8: bool):
    if not int8 and not can_pack(torch.float32):
        pytest.skip("this PyTorch packs no weights")
    layer, x = Inner().eval(), random(5, 16)
    before, others = layer(x), [layer.norm, layer.embedding, layer.patches, layer.steps[1]]
    assert faster(layer, int8=int8) is layer
    kind = Int8Linear if int8 else PackedLinear
    swapped = [layer.up, layer.steps[0]]
    assert all(isinstance(one, kind) for one in swapped)
    assert [layer.norm, layer.embedding, layer.patches, layer.steps[1]] == others
    error = (layer(x) - before).abs().max()
    assert error < (0.05 if int8 else 1e-5)
    # A second time nothing is left to do.
    faster(layer, int8=int8)
    assert [layer.up, layer.steps[0]] == swapped


def test_a_layer_by_itself_is_handed_back_in_its_faster_form():
    layer = nn.Linear(16, 24, bias=False)
    found = faster(layer)
    assert isinstance(found, PackedLinear) == can_pack(torch.float32)
    assert isinstance(faster(layer, int8=True), Int8Linear)
    norm = nn.RMSNorm(16)
    assert faster(norm) is norm


def test_layers_of_other_formats_and_devices_stay():
    half = nn.Linear(16, 24, bias=False, dtype=torch.float16)
    elsewhere = nn.Linear(16, 24, bias=False, device="meta")
    assert faster(half) is half and faster(elsewhere) is elsewhere


def test_float16_and_integers_are_not_packed():
    assert not can_pack(torch.float16) and not can_pack(torch.int8)


def test_bfloat16_is_packed_where_the_processor_multiplies_it(
    fresh: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(linear, "has_bfloat16", lambda: False)
    assert not can_pack(torch.bfloat16)
    layer = nn.Linear(16, 24, bias=False, dtype=torch.bfloat16)
    assert faster(layer) is layer


class Lacking:
    def __init__(self, weight: Tensor) -> None:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute")


class Refusing(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("mkldnn_linear_pointwise: unsupported")


class Wrong(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) + 1


@pytest.mark.parametrize("packed", [Lacking, Refusing, Wrong])
def test_a_build_that_cannot_pack_keeps_its_layers(
    fresh: None, monkeypatch: pytest.MonkeyPatch, packed: Callable[[Tensor], nn.Module]
):
    monkeypatch.setattr(linear, "PackedLinear", packed)
    assert not can_pack(torch.float32)
    layer = nn.Linear(16, 24, bias=False)
    assert faster(layer) is layer


def test_the_int8_product_is_for_bfloat16_alone(fresh: None):
    assert not has_int8_kernel("cpu", torch.float32)
    assert not has_int8_kernel("mps", torch.bfloat16)


def test_a_build_without_an_int8_product_unpacks(
    fresh: None, no_kernels: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(linear, "has_int8_kernel", lambda device, dtype: False)
    layer = Int8Linear(weights(64, 48).bfloat16())
    x = random(3, 64).bfloat16()
    wanted = F.linear(x, layer.weight.bfloat16()) * layer.scale
    assert torch.equal(layer(x), wanted)


@pytest.mark.parametrize("found", [None, (True, False), (False, True), (False, False)])
def test_bfloat16_units_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, found):
    for i, name in enumerate(("_is_avx512_bf16_supported", "_is_amx_tile_supported")):
        if found is None:
            monkeypatch.delattr(torch.cpu, name, raising=False)
        else:
            monkeypatch.setattr(torch.cpu, name, lambda i=i: found[i], raising=False)
    assert linear.has_bfloat16() == (found is not None and any(found))
