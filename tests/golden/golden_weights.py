"""Deterministic weights for the golden files: every tensor is a function of its name and shape.

A golden file holds inputs and expected outputs only.  The weights that produced it are rebuilt
here from the state-dict names of the public EditAR / LlamaGen checkpoints, so that a 775M-parameter
model can be checked without storing it.  NumPy's legacy RandomState stream is frozen by NumPy's
compatibility policy, so the values are the same on every machine and version.
"""

import zlib

import numpy as np


def golden_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the golden float32 array for one state-dict entry.

    One-dimensional ``*.weight`` (norm scales) are 1 + 0.1 n, one-dimensional ``*.bias`` 0.1 n,
    names containing ``embedding`` 0.5 n, every other tensor n / sqrt(fan_in), where n is standard
    normal noise seeded by crc32(name) and fan_in is the product of all dimensions but the first.
    """
    noise = (
        np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    )
    if len(shape) == 1 and name.endswith("weight"):
        return np.float32(1) + np.float32(0.1) * noise
    if len(shape) == 1:
        return np.float32(0.1) * noise
    if "embedding" in name:
        return np.float32(0.5) * noise
    return noise / np.float32(np.sqrt(np.prod(shape[1:])))


def golden_state_dict(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return golden weights for every (checkpoint name, shape) pair."""
    return {name: golden_tensor(name, tuple(shape)) for name, shape in shapes.items()}
