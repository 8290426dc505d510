import argparse
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from editar_cli.checkpoints.published import read_published
from editar_cli.errors import CheckpointError
from tests.published_files import WritesAFile, trainer_extras

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


def assert_read(file: Path) -> None:
    read = read_published(file)
    assert read.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert read[name].dtype == value.dtype and torch.equal(read[name], value)


@pytest.mark.parametrize("wrapper", ["model", "module", "state_dict", None])
@pytest.mark.parametrize("extras", [{}, trainer_extras()], ids=["alone", "with trainer state"])
def test_weights_are_found_wherever_trainers_put_them(
    tmp_path: Path, wrapper: str | None, extras: dict[str, Any]
) -> None:
    if wrapper is None:
        # Nothing tells a bare file's weights from its optimizer but that these are tensors.
        content = {**WEIGHTS, **extras}
    else:
        content = {wrapper: OrderedDict(WEIGHTS), **extras}
    torch.save(content, tmp_path / "weights.pt")
    assert_read(tmp_path / "weights.pt")


def test_wrappers_inside_wrappers_are_opened(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module": WEIGHTS}}, tmp_path / "weights.pt")
    assert_read(tmp_path / "weights.pt")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_data_parallel_and_compile_are_taken_off(tmp_path: Path, prefix: str) -> None:
    torch.save(
        {"model": {prefix + name: value for name, value in WEIGHTS.items()}}, tmp_path / "w.pt"
    )
    assert_read(tmp_path / "w.pt")


def test_a_name_with_and_without_prefix_is_ambiguous(tmp_path: Path) -> None:
    torch.save({"module.b": torch.ones(2), "b": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="b twice"):
        read_published(tmp_path / "w.pt")


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file(
        {f"module.{name}": value for name, value in WEIGHTS.items()}, tmp_path / "w.safetensors"
    )
    assert_read(tmp_path / "w.safetensors")


def test_the_format_before_pytorch_1_6_is_read(tmp_path: Path) -> None:
    torch.save({"model": WEIGHTS}, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    assert_read(tmp_path / "w.pt")


def test_weights_stay_in_the_file_until_they_are_used(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1 << 20)}}, tmp_path / "w.pt")
    # A mapped tensor follows the file; a copy would not. The test maps, writes, and looks.
    mapped = read_published(tmp_path / "w.pt")["a"]
    assert mapped.untyped_storage().nbytes() >= 4 << 20
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux shows a process's mapped files")
    assert str(tmp_path / "w.pt") in maps.read_text()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("beside", ["args", "model", "alone"])
def test_a_malicious_pickle_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, beside: str, legacy: bool
) -> None:
    trace = tmp_path / "trace"
    evil: Any = WritesAFile(trace)
    content = {
        "args": {"model": WEIGHTS, "args": evil},
        "model": {"model": {**WEIGHTS, "evil": evil}},
        "alone": evil,
    }[beside]
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="refused") as refused:
        read_published(tmp_path / "w.pt")
    assert not trace.exists()
    assert "weights_only=False" not in str(refused.value)
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert trace.exists(), "the pickle would have run in a careless reader"


def test_a_namespace_may_hold_plain_values_only(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    arguments = argparse.Namespace(lr=1e-4, path=WritesAFile(trace))
    torch.save({"model": WEIGHTS, "args": arguments}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="refused"):
        read_published(tmp_path / "w.pt")
    assert not trace.exists()


def test_reading_does_not_widen_what_pytorch_trusts(tmp_path: Path) -> None:
    torch.save({"model": WEIGHTS, **trainer_extras()}, tmp_path / "w.pt")
    read_published(tmp_path / "w.pt")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_a_plain_pickle_with_a_call_is_refused(tmp_path: Path) -> None:
    class Calls:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trace"),)

    (tmp_path / "w.pt").write_bytes(pickle.dumps({"model": Calls()}, protocol=2))
    with pytest.raises(CheckpointError, match=r"w\.pt"):
        read_published(tmp_path / "w.pt")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("w.pt", b""), ("w.pt", b"not a pickle"), ("w.safetensors", b"short")],
    ids=["empty", "garbage", "safetensors"],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        read_published(tmp_path / name)


def test_a_cut_off_download_is_named(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1000)}}, tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"w\.pt"):
        read_published(tmp_path / "w.pt")


def test_missing_files_and_files_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_published(tmp_path / "w.pt")
    torch.save({"steps": 3}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read_published(tmp_path / "w.pt")
    torch.save([1, 2], tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds a list"):
        read_published(tmp_path / "w.pt")
    torch.save({"model": {"a": torch.ones(1), "epoch": 3}}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="not tensors: epoch"):
        read_published(tmp_path / "w.pt")
