import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from editar_cli.errors import CheckpointError
from editar_cli.tensorfiles import (
    LazyTensor,
    check_shapes,
    few,
    lazy,
    load_strictly,
    module_shapes,
    read_shapes,
    read_tensors,
    write_tensors,
)

FILE = Path("weights.safetensors")


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.int64, torch.bool],
)
def test_written_files_are_read_by_the_safetensors_library(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    values = {
        "a": (torch.randn(3, 5) * 3).to(dtype),
        "not contiguous": (torch.randn(4, 6) * 3).to(dtype).T,
        "number": torch.ones((), dtype=dtype),
        "empty": torch.ones(0, 2, dtype=dtype),
    }
    write_tensors(tmp_path / "w", {name: lazy(value) for name, value in values.items()})
    read = load_file(tmp_path / "w")
    assert read.keys() == values.keys()
    for name, value in values.items():
        assert read[name].dtype == dtype and torch.equal(read[name], value)
    assert read_shapes(tmp_path / "w") == {name: tuple(v.shape) for name, v in values.items()}


def test_floats_are_converted_when_written_and_whole_numbers_are_not(tmp_path: Path) -> None:
    value = torch.tensor([1.0, 1 / 3])
    write_tensors(
        tmp_path / "w",
        {"f": lazy(value, torch.float16), "i": lazy(torch.tensor([1, 1 << 40]), torch.float16)},
    )
    read = load_file(tmp_path / "w")
    assert torch.equal(read["f"], value.half())
    assert read["i"].tolist() == [1, 1 << 40]


def test_tensors_are_made_one_after_the_other_and_progress_is_told(tmp_path: Path) -> None:
    made: list[str] = []

    def tensor(name: str) -> LazyTensor:
        def make() -> torch.Tensor:
            made.append(name)
            return torch.zeros(4)

        return LazyTensor(torch.float32, (4,), make)

    seen: list[tuple[int, int, int]] = []
    write_tensors(
        tmp_path / "w",
        {"a": tensor("a"), "b": tensor("b")},
        lambda done, total: seen.append((done, total, len(made))),
    )
    assert seen == [(16, 32, 1), (32, 32, 2)]


def test_a_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w", {"a": lazy(torch.ones(1))})
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "w").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_every_difference_is_named_at_once() -> None:
    with pytest.raises(CheckpointError) as raised:
        check_shapes(
            {"a": (1,), "b": (2, 3), "c": (4,)},
            {"b": (2, 2), "c": (4,), "d": (5,)},
            FILE,
            "Do this.",
        )
    message = str(raised.value)
    assert message.startswith("weights.safetensors: ") and message.endswith("Do this.")
    assert "missing: a;" in message and "unexpected: d;" in message
    assert "b is (2, 2), expected (2, 3)" in message and "c" not in message.split("; ", 1)[1][:1]


def test_long_lists_of_names_stay_readable() -> None:
    assert few(str(i) for i in range(9)) == "0, 1, 2, 3, 4, 5, 6, 7 and 1 more"
    assert few({"b", "a"}) == "a, b"


def test_loading_is_strict_and_fills_modules_on_the_meta_device() -> None:
    with torch.device("meta"):
        module = torch.nn.Linear(3, 2)
    assert module_shapes(module) == {"weight": (2, 3), "bias": (2,)}
    weights = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    load_strictly(module, weights, FILE)
    assert module(torch.ones(1, 3)).tolist() == [[3, 3]]
    with pytest.raises(CheckpointError, match="missing: bias"):
        load_strictly(module, {"weight": torch.ones(2, 3)}, FILE)


@pytest.mark.parametrize("read", [read_tensors, read_shapes])
def test_missing_and_damaged_files_are_named(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(CheckpointError, match="w: no such file"):
        read(tmp_path / "w")
    save_file({"a": torch.ones(100)}, tmp_path / "w")
    whole = (tmp_path / "w").read_bytes()
    for damaged in (b"", b"\x00" * 16, whole[:-40]):
        (tmp_path / "w").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="not a readable safetensors file"):
            read(tmp_path / "w")


def test_empty_modules_cost_no_memory_and_no_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from editar_cli.tensorfiles import module_shapes, without_weights\n"
        "with without_weights():\n"
        "    module = torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.Conv2d(4, 3, 1))\n"
        "    module.register_buffer('table', (torch.arange(3) / 2).cos(), persistent=False)\n"
        "assert module.table.tolist() == (torch.arange(3) / 2).cos().tolist()\n"
        "assert all(value.is_meta for value in module.parameters())\n"
        "assert module_shapes(module)['0.weight'] == (5, 4)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "assert not torch.nn.Embedding(5, 4).weight.is_meta\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
