"""One engine behind every command: pixels and sentences in, pixels out.

``Engine.stream`` is the whole path: tokenize, condition, decode, detokenize. Pictures are taken one
by one as rows become free and given out as they are finished, so whoever reads and writes them can
work meanwhile.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import FREE, Decoded, Request, Score, Strategy, decode
from editar_cli.decoding.layout import Layout
from editar_cli.decoding.rows import Rows
from editar_cli.decoding.sequential import Sequential
from editar_cli.decoding.speculative import Speculative

if TYPE_CHECKING:
    from editar_cli.checkpoints.native import Bundle

# Most pictures at once: beyond these a device has no more to give.
MOST_ROWS = {"cpu": 4, "mps": 8, "cuda": 64}
# Guesses of one picture that are worth a pass.
MOST_GUESSES = {"cpu": 24, "mps": 64, "cuda": 256}
# Share of the free memory that caches may take; passes, pictures and other programs need the rest.
MEMORY_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Task:
    """One picture to edit.

    Args:
        pixels: (3, S, S) float in [-1, 1], S the bundle's image size.
        instruction: a sentence.
        seed: the picture's codes depend on its own alone (see ``sampling``).
        changeable: (g, g) bool, cells whose codes may differ from the source's; all if ``None``.
        scored: say afterwards how likely the codes were.
        with_source: decode the source's codes, too; that costs as much as decoding the result.
    """

    pixels: Tensor
    instruction: str
    seed: int
    changeable: Tensor | None = None
    scored: bool = False
    with_source: bool = True


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What an edit of one picture leaves: codes (g, g) int64, pixels (3, S, S) in [-1, 1].

    The decoded source shows what the tokenizer makes of the source alone, so that a caller can
    tell the edit from the tokenizer's own losses.

    Args:
        index: of its task.
        source_codes, edited_codes: what went into the transformer and came out.
        decoded_source, decoded_edited: what the tokenizer makes of them, the former where the task
            asked for it.
        passes: runs of the transformer behind its prefix.
        score: where the task asked for it.
    """

    index: int
    source_codes: Tensor
    edited_codes: Tensor
    decoded_source: Tensor | None
    decoded_edited: Tensor
    passes: int
    score: Score | None = None


@dataclass(frozen=True, kw_only=True)
class EditResult:
    """``Edited`` of B pictures, in order: codes (B, g, g), pixels (B, 3, S, S), passes of each."""

    source_codes: Tensor
    edited_codes: Tensor
    decoded_source: Tensor
    decoded_edited: Tensor
    passes: list[int]


class Engine:
    """A loaded bundle, ready to edit.

    Args:
        bundle: the model; its transformer is prepared for decoding and cannot be trained any more.
        int8: keep the weights that every step reads in 8 bits.
        strategy: how codes are guessed; which codes come out does not depend on it.
    """

    def __init__(
        self,
        bundle: "Bundle",
        *,
        int8: bool = False,
        strategy: Literal["speculative", "sequential"] = "speculative",
    ) -> None:
        self.bundle = bundle
        self.transformer = bundle.transformer.eval()
        self.transformer.prepare_for_decoding(int8=int8)
        self.tokenizer = bundle.tokenizer.eval()
        self.strategy: Strategy = Sequential()
        if strategy == "speculative":
            self.strategy = Speculative(MOST_GUESSES[bundle.device.type])
        self._rows: Rows | None = None
        # Pixels and codes of the last task: the variations of a picture come one after another.
        self._tokenized: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, h, w) int64 codes."""
        return self.tokenizer.encode(pixels.to(self.bundle.device, torch.float32))

    @torch.inference_mode()
    def detokenize(self, codes: Tensor) -> Tensor:
        """(B, h, w) int64 codes -> (B, 3, H, W) float32 in [-1, 1]."""
        return self.tokenizer.decode(codes).clamp(-1, 1)

    def stream(
        self,
        tasks: Iterable[Task],
        sampling: SamplingConfig,
        *,
        slots: int,
        on_codes: Callable[[int], None] = lambda count: None,
        on_fewer_slots: Callable[[int], None] = lambda slots: None,
    ) -> Iterator[Edited]:
        """Edit pictures, ``slots`` at a time.

        Where memory runs out it goes on with half as many, and the pictures that were under way
        start again.

        Args:
            tasks: taken one by one as rows become free.
            sampling: guidance and filtering, the same for all.
            slots: pictures at once, 1 or more.
            on_codes: told how many codes have come to stand since the last time; negative where
                pictures start again.
            on_fewer_slots: told the new number when memory ran out.

        Yields:
            Pictures as they are finished, not in the order of the tasks.

        Raises:
            MemoryError: memory ran out with one picture at a time, the first of those that were
                taken and not yielded.
        """
        under_way: dict[int, Task] = {}
        encoded: dict[int, Request] = {}
        stood = 0
        asking = False

        def count(codes: int) -> None:
            nonlocal stood
            stood += codes
            on_codes(codes)

        waiting = enumerate(tasks)

        def new_tasks() -> Iterator[tuple[int, Task]]:
            nonlocal asking
            while True:
                asking = True
                # Whoever makes the tasks does not know that a model is running.
                with torch.inference_mode(False):
                    item = next(waiting, None)
                asking = False
                if item is None:
                    return
                yield item

        while True:
            order: list[int] = []
            again = list(under_way.items())

            def taken(
                order: list[int] = order, again: list[tuple[int, Task]] = again
            ) -> Iterator[Request]:
                for index, task in chain(again, new_tasks()):
                    under_way[index] = task
                    order.append(index)
                    if index not in encoded:
                        encoded[index] = self._request(task)
                    yield encoded[index]

            try:
                for done in decode(
                    self.transformer,
                    taken(),
                    sampling,
                    self.strategy,
                    rows=self.rows(slots, sampling),
                    on_codes=count,
                ):
                    index = order[done.index]
                    task, request = under_way[index], encoded[index]
                    edited = self._edited(index, request, done, with_source=task.with_source)
                    del under_way[index], encoded[index]
                    stood -= done.codes.numel()
                    yield edited
                return
            except (RuntimeError, MemoryError) as error:
                if asking or not ran_out_of_memory(error):
                    raise
                self._rows = None
                if slots == 1:
                    raise MemoryError(str(error)) from error
            slots = max(1, min(slots, len(under_way) or slots) // 2)
            on_codes(-stood)
            stood = 0
            on_fewer_slots(slots)

    def edit(
        self,
        pixels: Tensor,
        instructions: Sequence[str],
        seeds: Sequence[int],
        sampling: SamplingConfig,
        on_step: Callable[[int, int], None] | None = None,
        *,
        changeable: Tensor | None = None,
        slots: int | None = None,
    ) -> EditResult:
        """Edit pictures that are all at hand.

        Args:
            pixels: (B, 3, S, S) float in [-1, 1], S the bundle's image size.
            instructions: B sentences.
            seeds: B numbers; a picture's codes depend on its own alone (see ``sampling``).
            sampling: guidance and filtering.
            on_step: called with (codes done, codes in all).
            changeable: (B, g, g) bool, cells whose codes may differ from the source's.
            slots: pictures at once; as many as suit the device where left out.

        Raises:
            MemoryError: memory ran out with one picture at a time.
        """
        assert len(instructions) == len(seeds) == pixels.shape[0]
        total, done = len(pixels) * self.transformer.config.codes, 0

        def on_codes(codes: int) -> None:
            nonlocal done
            done += codes
            if on_step is not None:
                on_step(done, total)

        tasks = (
            Task(
                pixels=pixels[i],
                instruction=instructions[i],
                seed=seeds[i],
                changeable=None if changeable is None else changeable[i],
            )
            for i in range(len(pixels))
        )
        slots = min(slots or self.slots(sampling), len(pixels))
        found = list(self.stream(tasks, sampling, slots=slots, on_codes=on_codes))
        found.sort(key=lambda edited: edited.index)
        return EditResult(
            source_codes=torch.stack([edited.source_codes for edited in found]),
            edited_codes=torch.stack([edited.edited_codes for edited in found]),
            decoded_source=torch.stack(
                [edited.decoded_source for edited in found if edited.decoded_source is not None]
            ),
            decoded_edited=torch.stack([edited.decoded_edited for edited in found]),
            passes=[edited.passes for edited in found],
        )

    def slots(self, sampling: SamplingConfig) -> int:
        """How many pictures at once serve this device well: what its free memory holds, 1 or more,
        up to a number beyond which nothing is gained."""
        device = self.bundle.device
        most = MOST_ROWS[device.type]
        if self._rows is not None:
            # Its memory is taken already and would serve again.
            free = free_memory(device) + self._rows.cache.nbytes
        else:
            free = free_memory(device)
        layout = Layout.of(self.transformer.config, sampling)
        return max(1, min(most, int(MEMORY_SHARE * free / self.row_bytes(layout))))

    def row_bytes(self, layout: Layout) -> int:
        """Memory of one picture's keys and values."""
        c = self.transformer.config
        return 2 * c.n_layer * layout.length * c.dim * self.bundle.dtype.itemsize

    def rows(self, slots: int, sampling: SamplingConfig) -> Rows:
        """Rows for a run; those of the last one serve again where they suit."""
        kept = self._rows
        if kept is None or kept.count != slots or kept.sampling != sampling:
            # Freed first: there may be no room for both.
            self._rows = kept = None
            self._rows = Rows(self.transformer, slots, sampling)
        assert self._rows is not None
        return self._rows

    @torch.inference_mode()
    def _request(self, task: Task) -> Request:
        if self._tokenized is None or not torch.equal(self._tokenized[0], task.pixels):
            self._tokenized = task.pixels, self.encode(task.pixels[None])[0]
        codes = self._tokenized[1]
        text = self.bundle.text_encoder.encode([task.instruction])[0].to(self.bundle.device)
        forced = None
        if task.changeable is not None:
            forced = codes.masked_fill(task.changeable.to(codes.device), FREE).flatten()
        return Request(
            source_codes=codes.flatten(),
            text=text,
            seed=task.seed,
            instruction=task.instruction,
            forced=forced,
            scored=task.scored,
        )

    def _edited(self, index: int, request: Request, done: Decoded, *, with_source: bool) -> Edited:
        grid = self.transformer.config.grid
        both = torch.stack([request.source_codes, done.codes]).view(2, grid, grid)
        # One pass for both: the decoder's cost per call is not small beside one picture.
        decoded = self.detokenize(both if with_source else both[1:])
        return Edited(
            index=index,
            source_codes=both[0],
            edited_codes=both[1],
            decoded_source=decoded[0] if with_source else None,
            decoded_edited=decoded[-1],
            passes=done.passes,
            score=done.score,
        )


def free_memory(device: torch.device) -> int:
    """Bytes that could be had now; on a machine that does not tell, 2 GB."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu":
        try:
            with open("/proc/meminfo", encoding="ascii") as facts:
                for line in facts:
                    if line.startswith("MemAvailable:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        if "SC_AVPHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2 * 1024**3


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether this is one of torch's ways of running out of memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The CPU allocator and mps have no exception class of their own.
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text


def image_seed(seed: int, key: str) -> int:
    """The seed of one picture, in [0, 2^63): from the run's seed and the picture's relative path.

    So batch size, order, resumption and sharding do not change a picture's result.
    """
    # Names need not be UTF-8; their bytes are what they are.
    data = f"{seed}\0{key}".encode(errors="surrogateescape")
    digest = hashlib.blake2b(data, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
