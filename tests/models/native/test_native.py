import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from editar_cli.models import attention, linear, native
from editar_cli.models.attention import cached_attention
from editar_cli.models.linear import Int8Linear
from editar_cli.models.native import (
    Kernels,
    compiled,
    compilers,
    has_instructions,
    kernels,
    suits_attention,
    works,
)
from editar_cli.models.presets import GPT_PRESETS

compiles = pytest.mark.skipif(
    not has_instructions() or not any(compilers()),
    reason="no AVX-512 BF16 here, or no C compiler",
)
WIDTHS = sorted({preset["dim"] for preset in GPT_PRESETS.values()})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The kernels, compiled into a folder of this test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDITAR_HOME", str(tmp_path_factory.mktemp("home")))
        kernels.cache_clear()
        found = kernels()
    kernels.cache_clear()
    assert found is not None
    return found


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing compiled yet; what the test finds is forgotten behind it."""
    monkeypatch.setenv("EDITAR_HOME", str(tmp_path / "home"))
    kernels.cache_clear()
    yield tmp_path / "home" / "kernels"
    kernels.cache_clear()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def products(rows: int, inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    weight = torch.randint(
        -127, 128, (outputs, inputs), generator=torch.Generator().manual_seed(1), dtype=torch.int8
    )
    scale = (random(outputs, seed=2).abs() / inputs**0.5 / 64).bfloat16()
    return random(rows, inputs).bfloat16(), weight, scale


def attended(
    rows: int, heads: int, queries: int, keys: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Laid out as in a pass: queries by position, keys and values a part of a longer cache."""
    noise = torch.Generator().manual_seed(seed)
    q = torch.randn(rows, queries, heads, 64, generator=noise).bfloat16().transpose(1, 2)
    cache = torch.randn(2, rows, heads, keys + 48, 64, generator=noise).bfloat16()
    bias = 3 * torch.rand(rows, 1, queries, keys, generator=noise)
    bias = bias.masked_fill(torch.rand(bias.shape, generator=noise) < 0.4, -torch.inf)
    bias[..., 0] = 0.0
    return q, cache[0, :, :, :keys], cache[1, :, :, :keys], bias


def written_out(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    scores = torch.einsum("bhnd,bhkd->bhnk", q.double(), k.double()) / q.shape[-1] ** 0.5
    return (scores + bias.double()).softmax(-1) @ v.double()


@compiles
@pytest.mark.parametrize("inputs", WIDTHS)
@pytest.mark.parametrize("rows", [*range(1, 10), 63])
def test_a_product_is_exact_but_for_the_rounding_of_its_result(
    found: Kernels, rows: int, inputs: int
):
    x, weight, scale = products(rows, inputs, 150)
    y = found.linear(x, weight, scale)
    assert y.shape == (rows, 150) and y.dtype == torch.bfloat16
    wanted = F.linear(x.double(), weight.double()) * scale.double()
    torch.testing.assert_close(y.double(), wanted, rtol=2**-8, atol=1e-5)


@compiles
@pytest.mark.parametrize("outputs", [1, 2, 3, 5, 16, 17, 18, 33])
def test_any_number_of_outputs_is_shared_out(found: Kernels, outputs: int):
    x, weight, scale = products(3, 32, outputs)
    wanted = F.linear(x.double(), weight.double()) * scale.double()
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            y = found.linear(x, weight, scale)
            torch.testing.assert_close(y.double(), wanted, rtol=2**-8, atol=1e-5)
    finally:
        torch.set_num_threads(threads)


@compiles
def test_a_row_gets_the_same_to_the_last_bit_beside_any_others(found: Kernels):
    x, weight, scale = products(40, 1280, 96)
    whole = found.linear(x, weight, scale)
    for rows in (*range(1, 10), 31, 33):
        assert torch.equal(found.linear(x[:rows], weight, scale), whole[:rows]), rows
        assert torch.equal(found.linear(x[-rows:], weight, scale), whole[-rows:]), rows


@compiles
@pytest.mark.parametrize("keys", [16, 64, 208, 2112])
@pytest.mark.parametrize("queries", [1, 2, 3, 4, 5, 9, 50])
def test_attention_is_off_by_the_rounding_of_its_weights(found: Kernels, queries: int, keys: int):
    q, k, v, bias = attended(2, 3, queries, keys, seed=queries)
    assert suits_attention(q, k, v, bias)
    y = found.attention(q, k, v, bias)
    assert y.shape == q.shape and y.dtype == torch.bfloat16
    wanted = written_out(q, k, v, bias)
    # Weights and result have 8 bits.
    assert (y - wanted).abs().max() < 0.02
    assert (y - wanted).abs().mean() < 2**-8 * wanted.abs().mean() + 1e-4
    # One bias may serve all rows.
    y = found.attention(q, k, v, bias[:1])
    assert (y - written_out(q, k, v, bias[:1])).abs().max() < 0.02


@compiles
def test_large_scores_and_long_masks_leave_numbers(found: Kernels):
    q, k, v, bias = attended(1, 2, 3, 128)
    bias[..., 16:] = -torch.inf
    y = found.attention(100 * q, 100 * k, v, bias)
    assert (y - written_out(100 * q, 100 * k, v, bias)).abs().max() < 0.02
    assert y.isfinite().all()


@compiles
def test_a_query_gets_the_same_bits_beside_others_and_before_masked_keys(found: Kernels):
    q, k, v, bias = attended(2, 3, 21, 320)
    bias[..., 200:] = -torch.inf
    whole = found.attention(q, k, v, bias)
    for queries in (1, 2, 3, 4, 6, 20):
        part = found.attention(q[:, :, :queries], k, v, bias[:, :, :queries])
        assert torch.equal(part, whole[:, :, :queries]), queries
    shorter = found.attention(q, k[:, :, :208], v[:, :, :208], bias[..., :208])
    assert torch.equal(shorter, whole)


@compiles
@pytest.mark.parametrize(("head_dim", "keys"), [(64, 50), (32, 64)])
def test_other_shapes_go_to_pytorch(head_dim: int, keys: int):
    q, k, v = (random(1, 2, n, head_dim, seed=n).bfloat16() for n in (3, keys, keys))
    bias = torch.zeros(1, 1, 4, keys)
    assert not suits_attention(q, k, v, bias)
    found = cached_attention(q, k, v, bias)
    assert (found - written_out(q, k, v, bias[:, :, :3])).abs().max() < 0.05
    # 40 inputs are no multiple of what the product takes at a time.
    layer = Int8Linear(random(24, 40).bfloat16())
    x = random(2, 40).bfloat16()
    wanted = F.linear(x.double(), layer.weight.double()) * layer.scale.double()
    torch.testing.assert_close(layer(x).double(), wanted, rtol=2**-6, atol=2**-6)


@compiles
def test_layers_and_attention_go_through_the_kernels(
    found: Kernels, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(linear, "kernels", lambda: found)
    monkeypatch.setattr(attention, "kernels", lambda: found)
    layer, x = Int8Linear(random(48, 64).bfloat16()), random(2, 3, 64).bfloat16()
    wanted = found.linear(x.view(6, 64), layer.weight, layer.scale)
    assert torch.equal(layer(x), wanted.view(2, 3, 48))
    assert torch.equal(layer(x.transpose(0, 1)), wanted.view(2, 3, 48).transpose(0, 1))
    q, k, v, bias = attended(2, 3, 5, 64)
    padded = torch.cat([bias, bias[:, :, :3]], dim=2)
    assert torch.equal(cached_attention(q, k, v, padded), found.attention(q, k, v, bias))


@compiles
def test_they_are_compiled_once(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    assert kernels() is not None
    (kept,) = own_home.iterdir()
    written = kept.stat().st_mtime_ns
    kernels.cache_clear()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert kernels() is not None
    assert kept.stat().st_mtime_ns == written and list(own_home.iterdir()) == [kept]


@compiles
@pytest.mark.parametrize("damage", ["cut", "empty", "changed"])
def test_a_damaged_file_is_compiled_again(own_home: Path, damage: str):
    compiler = next(compilers())
    assert compiled(compiler) is not None
    (kept,) = own_home.iterdir()
    data = kept.read_bytes()
    # A new file: the old one is mapped into this process.
    kept.unlink()
    middle = len(data) // 2
    changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    kept.write_bytes({"cut": data[:middle], "empty": b"", "changed": changed}[damage])
    assert kernels() is not None
    assert kept.read_bytes() == data


@compiles
def test_two_processes_may_compile_at_once(own_home: Path):
    code = "from editar_cli.models.native import kernels; print(kernels() is not None)"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["True", "True"]
    assert [path.suffix for path in own_home.iterdir()] == [".so"]


@compiles
def test_a_home_that_cannot_be_written_costs_a_compilation(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    own_home.parent.write_text("a file where the folder would be")
    assert kernels() is not None
    assert own_home.parent.is_file()


@compiles
def test_without_a_compiler_there_are_none(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(own_home))
    assert kernels() is None
    layer, x = Int8Linear(random(48, 64).bfloat16()), random(2, 64).bfloat16()
    wanted = F.linear(x.double(), layer.weight.double()) * layer.scale.double()
    torch.testing.assert_close(layer(x).double(), wanted, rtol=2**-6, atol=2**-6)


@compiles
@pytest.mark.parametrize("command", ["false", "true", "no-such-compiler", "sleep 9"])
def test_a_compiler_that_makes_nothing_is_none(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setattr(native, "COMPILE_SECONDS", 1)
    monkeypatch.setenv("CC", command)
    assert kernels() is None and not own_home.exists()


@compiles
def test_options_of_the_compiler_are_passed_on(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    path = shutil.which("cc") or shutil.which("gcc")
    monkeypatch.setenv("CC", f"{path} -DNOTHING=1")
    assert list(compilers()) == [[path, "-DNOTHING=1"]]
    assert kernels() is not None


@compiles
@pytest.mark.parametrize("method", ["linear", "attention"])
def test_kernels_that_are_wrong_here_are_not_taken(
    own_home: Path, found: Kernels, monkeypatch: pytest.MonkeyPatch, method: str
):
    assert works(found)
    right = getattr(Kernels, method)
    monkeypatch.setattr(Kernels, method, lambda self, *args: right(self, *args) + 0.1)
    assert not works(found) and kernels() is None


def test_other_processors_have_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native.platform, "machine", lambda: "aarch64")
    assert not has_instructions()
    kernels.cache_clear()
    try:
        assert kernels() is None
    finally:
        kernels.cache_clear()


def test_the_source_stands_in_the_package():
    assert native.SOURCE.is_file()
