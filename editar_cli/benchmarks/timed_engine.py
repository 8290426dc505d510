"""An engine that takes its own time and memory apart."""

import gc
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch
from torch import Tensor

from editar_cli.benchmarks.roofline import synchronise
from editar_cli.checkpoints.native import Bundle
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import Request
from editar_cli.decoding.rows import Rows
from editar_cli.engine import Engine, Task
from editar_cli.text import TextEncoder

StrategyName = Literal["sequential", "speculative"]


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Where the time of one picture goes; a batch's time is shared out evenly."""

    tokenize: float
    text: float
    prefill: float
    decode: float
    detokenize: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.tokenize + self.text + self.prefill + self.decode + self.detokenize


class Clock:
    """Adds up the seconds of named parts; the device is waited for at both ends of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        synchronise(self.device)
        begun = perf_counter()
        yield
        synchronise(self.device)
        self.seconds[name] += perf_counter() - begun

    def per_picture(self, pictures: int) -> Seconds:
        """All parts, those never timed 0; decoding is what ``total`` has beyond the others."""
        named = {name: self.seconds[name] for name in ("tokenize", "text", "prefill", "detokenize")}
        decode = self.seconds["total"] - sum(named.values())
        shares = {name: value / pictures for name, value in named.items()}
        return Seconds(**shares, decode=decode / pictures)


class TimedRows(Rows):
    """Rows that time their prefixes and count what passes read."""

    def __init__(self, *args: Any, clock: Clock) -> None:
        super().__init__(*args)
        self.clock = clock
        self.passes, self.rows_fed, self.codes_fed = 0, 0, 0

    def fill(self, first: int, source_codes: Tensor, text: Tensor) -> Tensor:
        """As it is, timed."""
        with self.clock.part("prefill"):
            return super().fill(first, source_codes, text)

    def fill_again(self, source: int, target: int, text: Tensor) -> Tensor:
        """As it is, timed."""
        with self.clock.part("prefill"):
            return super().fill_again(source, target, text)

    def draw(self, codes: Tensor, first: Sequence[int], seeds: Tensor, skip: int = 0) -> Tensor:
        """As it is, counted."""
        self.passes += 1
        self.rows_fed += len(codes)
        self.codes_fed += codes.numel()
        return super().draw(codes, first, seeds, skip)

    def reset(self) -> None:
        """Count from here."""
        self.passes = self.rows_fed = self.codes_fed = 0


class TimedText:
    """A text encoder that is timed."""

    def __init__(self, encoder: TextEncoder, clock: Clock) -> None:
        self.encoder, self.clock = encoder, clock
        self.text_tokens, self.text_dim = encoder.text_tokens, encoder.text_dim

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """As it is, timed."""
        with self.clock.part("text"):
            return self.encoder.encode(prompts)


class TimedEngine(Engine):
    """An engine that takes its time apart."""

    def __init__(self, bundle: Bundle, clock: Clock, *, int8: bool, strategy: StrategyName) -> None:
        super().__init__(
            replace_text(bundle, TimedText(bundle.text_encoder, clock)),
            int8=int8,
            strategy=strategy,
        )
        self.clock = clock
        self.timed: TimedRows | None = None

    def encode(self, pixels: Tensor) -> Tensor:
        """As it is, timed."""
        with self.clock.part("tokenize"):
            return super().encode(pixels)

    def detokenize(self, codes: Tensor) -> Tensor:
        """As it is, timed."""
        with self.clock.part("detokenize"):
            return super().detokenize(codes)

    def rows(self, slots: int, sampling: SamplingConfig) -> TimedRows:
        """The one set of rows that a measurement needs."""
        if self.timed is None:
            self.timed = TimedRows(self.transformer, slots, sampling, clock=self.clock)
        assert (self.timed.count, self.timed.sampling) == (slots, sampling)
        return self.timed

    def request(self, task: Task) -> Request:
        """A picture as decoding wants it."""
        return self._request(task)

    def _request(self, task: Task) -> Request:
        # The picture that warmed up comes again: what it left must not spare the tokenizer's work.
        self._tokenized = None
        return super()._request(task)


def replace_text(bundle: Bundle, encoder: TextEncoder) -> Bundle:
    """The same model with another text encoder."""
    changed = replace(bundle)
    changed.text_encoder = encoder
    return changed


def forget(device: torch.device) -> None:
    """Give memory back that nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def reset_peak(device: torch.device) -> None:
    """From here on ``peak_memory`` counts."""
    forget(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    # Linux forgets the process's highest memory use.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int:
    """Bytes at most since ``reset_peak``: of torch's allocations on CUDA, else of the process.

    Where a system forgets no highest use it is that since the start, and 0 where it tells none.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024
