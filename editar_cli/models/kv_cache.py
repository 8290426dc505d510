"""Keys and values of all layers, allocated once for a batch."""

import torch
from torch import Tensor


class KVCache:
    """One row per image; every layer appends at the same place.

    The valid region is always a contiguous prefix, so attention reads an exact slice and nothing
    is copied.
    """

    def __init__(
        self,
        *,
        layers: int,
        batch: int,
        heads: int,
        length: int,
        head_dim: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (layers, batch, heads, length, head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.used = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, H, N, d) keys and values behind the valid region.

        Returns:
            Views of all keys and values up to and with the new ones, (B, H, used + N, d).
            ``used`` itself moves only with ``advance``, once all layers have appended.
        """
        end = self.used + keys.shape[2]
        self.keys[layer, :, :, self.used : end] = keys
        self.values[layer, :, :, self.used : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, count: int) -> None:
        """Make the last ``count`` appended positions valid."""
        self.used += count
        assert self.used <= self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        """Memory of keys and values in bytes."""
        return 2 * self.keys.numel() * self.keys.element_size()
