"""Keys and values of all layers, allocated once for a run."""

from dataclasses import dataclass

import torch
from torch import Tensor


class KVCache:
    """One row per picture, read as a contiguous prefix so that attention copies nothing.

    It starts with zeros: what is masked is still multiplied, and must be a number.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        heads: int,
        length: int,
        head_dim: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (layers, rows, heads, length, head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)

    def at(self, rows: slice, places: slice | Tensor, visible: int) -> "Window":
        """Where the next positions go and how far they may look.

        Args:
            rows: the cache rows of the pictures that run.
            places: of the N new positions: a slice for all rows, or (B, N) int64. Several
                positions of a row may share a place if no query ever sees it.
            visible: cached positions that are read.
        """
        length = self.keys.shape[3]
        assert visible <= length, f"{visible} of {length} positions"
        assert not isinstance(places, slice) or places.stop <= length, "beyond the cache"
        if isinstance(places, Tensor):
            head_dim = self.keys.shape[4]
            heads = self.keys.shape[2]
            places = places[:, None, :, None].expand(-1, heads, -1, head_dim)
        return Window(self.keys[:, rows], self.values[:, rows], places, visible)

    def copy(self, source: int, target: int, end: int) -> None:
        """Copy the first ``end`` positions of one row into another."""
        for stored in (self.keys, self.values):
            stored[:, target, :, :end] = stored[:, source, :, :end]

    @property
    def nbytes(self) -> int:
        """Memory of keys and values in bytes."""
        return 2 * self.keys.numel() * self.keys.element_size()


@dataclass(frozen=True)
class Window:
    """New positions of some rows of a cache, for one run through all layers."""

    keys: Tensor
    values: Tensor
    places: slice | Tensor
    visible: int

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, H, N, d) keys and values.

        Returns:
            Views of the visible keys and values, (B, H, visible, d), the new ones among them.
        """
        for stored, new in ((self.keys[layer], keys), (self.values[layer], values)):
            if isinstance(self.places, slice):
                stored[:, :, self.places] = new
            else:
                stored.scatter_(2, self.places, new)
        return self.keys[layer, :, :, : self.visible], self.values[layer, :, :, : self.visible]
