"""Small HED weights in the two layouts that are published, with random numbers."""

from pathlib import Path

import numpy as np
import torch

BLOCKS = (2, 2, 3, 3, 3)
WIDTHS = (4, 4, 6, 6, 6)


def keras_arrays(seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> dict[str, np.ndarray]:
    """Path in the .h5 file -> float32 array; convolutions are height, width, in, out."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}

    def convolution(layer: str, side: int, before: int, after: int) -> None:
        scale = (side * side * before / 2) ** -0.5
        arrays[f"{layer}/vars/0"] = rng.normal(0, scale, (side, side, before, after))
        arrays[f"{layer}/vars/1"] = rng.normal(0, 0.1, after)

    before = 3
    for block, (count, width) in enumerate(zip(BLOCKS, widths, strict=True), 1):
        for i in range(count):
            name = f"block{block}/layers/conv2d" + (f"_{i}" if i else "")
            convolution(name, 3, before, width)
            before = width
        convolution(f"dsn{block}", 1, width, 1)
    convolution("fuse", 1, len(BLOCKS), 1)
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def write_keras(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    import h5py

    with h5py.File(path, "w") as archive:
        for name, value in arrays.items():
            archive[name] = value
    return path


def controlnet_state(seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> dict[str, torch.Tensor]:
    """A state dict under the names of controlnet-aux's ``ControlNetHED_Apache2``."""
    noise = torch.Generator().manual_seed(seed)
    state = {"norm": torch.tensor([120.0, 115.0, 105.0])[None, :, None, None]}
    before = 3
    for block, (count, width) in enumerate(zip(BLOCKS, widths, strict=True), 1):
        for i in range(count):
            weight = torch.randn(width, before, 3, 3, generator=noise)
            state[f"block{block}.convs.{i}.weight"] = weight * (9 * before / 2) ** -0.5
            state[f"block{block}.convs.{i}.bias"] = torch.randn(width, generator=noise) * 0.1
            before = width
        state[f"block{block}.projection.weight"] = torch.randn(1, width, 1, 1, generator=noise)
        state[f"block{block}.projection.bias"] = torch.zeros(1)
    return state


def write_controlnet(path: Path, seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> Path:
    torch.save(controlnet_state(seed, widths), path)
    return path
