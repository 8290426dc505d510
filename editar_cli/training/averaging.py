"""A moving average of the weights: steadier than the last step's own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a module's trained parameters, in float32.

    The decay of step t, counted from 1, is ``min(decay, (1 + t) / (10 + t))``: with the full one
    from the start the first weights, which are noise, would be in it for 1 / (1 - decay) steps.

    Args:
        module: on the device it trains on.
        decay: per step, in (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._average = self.of_module()

    def of_module(self) -> dict[str, Tensor]:
        """A copy of the module's weights as they stand: parameter name -> float32."""
        return {name: p.detach().float().clone() for name, p in self._trained.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step ``step``, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        weights = [p.detach().float() for p in self._trained.values()]
        torch._foreach_lerp_(list(self._average.values()), weights, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module holds the average inside the block and its own weights again after it."""
        own = [p.detach().clone() for p in self._trained.values()]
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(self._average[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self._trained.values(), own, strict=True):
                    parameter.copy_(value)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: parameter name -> float32."""
        return self._average

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave.

        Raises:
            KeyError: it is of another module.
        """
        for name, value in self._average.items():
            value.copy_(state[name])
