"""Pairs of data sets, tokenized while the model trains on those before them.

Rows are fetched in order by the one thread that may, decoded by others, and encoded on the device
with the model. Batches are a function of (seed, step).
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from editar_cli.errors import TrainingError
from editar_cli.models.vq import VQTokenizer
from editar_cli.training.content_store import ContentStore, content_key
from editar_cli.training.datasets._schema import BadRowError, RawPair, Row
from editar_cli.training.mixture import Drawn, Mixture, PairSet, Rows, open_sets, rows_of
from editar_cli.training.pairs import Share, TokenizedPairs
from editar_cli.training.photos import KEPT_PHASE
from editar_cli.training.preflight import DataReport, check_sets
from editar_cli.training.preparation import Picture, Preparation
from editar_cli.training.recipe import EditorRecipe

SKIPPED = "skipped.jsonl"
ATTEMPTS = 20
"""Rows that are tried in place of a bad one before a set is given up."""

ENCODED_TOGETHER = 8
"""Pictures per pass of the tokenizer: always so many, for then its kernels are always the same and
a picture's codes do not depend on its company."""

VALIDATION = 7  # see ``mixture`` for the other random streams


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A sample on its way: pictures that are still to be encoded, or its codes."""

    pictures: tuple[Picture, Picture] | None
    codes: tuple[Tensor, Tensor] | None
    keys: tuple[bytes, bytes]
    instruction: str


class SetSource:
    """Implements ``pairs.PairSource`` for the data sets of a recipe.

    Args:
        recipe: with ``data``.
        base: folder that paths are relative to.
        output: the run's folder, for reports.
        tokenizer: on its device.
        preparation: how pictures become squares.
        with_pixels: whether batches carry the target pictures, for a teacher.
        store: where codes are kept for later, if anywhere.
        rank, world: this process takes the samples ``rank``, ``rank + world``, ... of each batch.
        report: told how many rows of how many are looked through.
        notice: told what a person should know.

    Raises:
        TrainingError: a set cannot be read, rows are bad and ``skip_bad`` is off, or none is left
            to train or to validate on.
    """

    def __init__(
        self,
        recipe: EditorRecipe,
        base: Path,
        output: Path,
        *,
        tokenizer: VQTokenizer,
        preparation: Preparation,
        with_pixels: bool = False,
        store: ContentStore | None = None,
        rank: int = 0,
        world: int = 1,
        report: Callable[[int, int], None] = lambda done, total: None,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.recipe = recipe
        self._output = output
        self._tokenizer = tokenizer
        self._device = next(tokenizer.parameters()).device
        self._preparation = preparation
        self._with_pixels = with_pixels
        self._store = store
        # Codes of other weights have other keys.
        self._identity = _weights_key(tokenizer) if store is not None else b""
        self._rank, self._world = rank, world
        self._notice = notice
        self._noted = 0
        self.sets = open_sets(recipe.data, base, self._damaged)
        self._validation_sets = open_sets(recipe.validation, base, self._damaged)
        self.data_report = self._look_through(report)
        seed = recipe.run.seed
        chosen = [self._good_rows(one) for one in self.sets]
        kept = [self._kept_out(rows) for rows in chosen]
        self._rows: list[Rows] = []
        self._counts: list[int] = []
        for i, (one, good, out) in enumerate(zip(self.sets, chosen, kept, strict=True)):
            trained = None if good is None else np.setdiff1d(good, out)
            if trained is not None and not len(trained):
                raise TrainingError(f"{one.where}: no good row is left to train on")
            self._rows.append(rows_of(one, i, trained, seed, self._damaged))
            self._counts.append(0 if trained is None else len(trained))
        self.mixture = Mixture([one.config.weight for one in self.sets], seed)
        self.kept = self._validation_pairs(kept)
        self._next_sample = 0

    def shares(self) -> list[Share]:
        """Where the samples of the whole run come from, exactly."""
        samples = self.recipe.schedule.steps * self.recipe.schedule.batch_size
        return [
            Share(
                name=one.name,
                where=one.where,
                share=float(share),
                samples=int(drawn),
                rows=one.rows if one.table is None else count,
            )
            for one, share, drawn, count in zip(
                self.sets,
                self.mixture.shares,
                self.mixture.counts(samples),
                self._counts,
                strict=True,
            )
        ]

    def batches(self, first_step: int) -> Iterator[TokenizedPairs]:
        """This process's share of one batch per optimiser step."""
        size = self.recipe.schedule.batch_size
        drawn = self.mixture.drawn(first_step * size)
        waiting: deque[tuple[Drawn, str, Future[Prepared]]] = deque()
        share = len(range(self._rank, size, self._world))
        with ThreadPoolExecutor(max(1, self.recipe.run.workers)) as threads:
            for step in range(first_step, self.recipe.schedule.steps):
                while len(waiting) < 2 * share:
                    one = next(drawn)
                    if one.number % size % self._world == self._rank:
                        waiting.append(self._begun(threads, one))
                samples = [self._settled(*waiting.popleft()) for _ in range(share)]
                self._next_sample = (step + 1) * size
                yield self._tokenized(
                    [prepared for _, prepared in samples],
                    [self.sets[one.which].name for one, _ in samples],
                )

    def state(self) -> dict[str, Any]:
        """Where the streams are, and how many rows there were to train on."""
        counts = self.mixture.counts(self._next_sample)
        return {
            "rows": self._counts,
            "places": [rows.state(int(n)) for rows, n in zip(self._rows, counts, strict=True)],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave.

        Raises:
            TrainingError: the data have changed, so that samples would be others.
        """
        for one, before, now in zip(self.sets, state["rows"], self._counts, strict=True):
            if before != now:
                raise TrainingError(
                    f"{one.where}: {before} rows were trained on, now it has {now}; a run goes on "
                    "with the data it began with, or another run begins with --init"
                )
        for rows, place in zip(self._rows, state["places"], strict=True):
            rows.load_state(place)

    def _look_through(self, report: Callable[[int, int], None]) -> DataReport | None:
        if not self.recipe.check_rows:
            return None
        found = check_sets(
            [*self.sets, *self._validation_sets],
            limit=self.recipe.check_rows,
            workers=self.recipe.run.workers,
            report=report,
        )
        if self._rank == 0:
            self._output.mkdir(parents=True, exist_ok=True)
            found.write(self._output)
        if found.findings:
            self._notice(found.text().rstrip())
            if not self.recipe.skip_bad:
                raise TrainingError(
                    f"{len(found.findings)} rows cannot be trained on; they are listed in "
                    f"{self._output / 'data.txt'}; --skip-bad trains without them"
                )
        return found

    def _good_rows(self, one: PairSet) -> NDArray[np.int64] | None:
        """Rows of a table that were not found to be bad; ``None`` of a stream."""
        if one.table is None:
            return None
        bad = self.data_report.bad_rows(one.name) if self.data_report else []
        return np.setdiff1d(np.arange(len(one.table)), np.array(bad, np.int64))

    def _kept_out(self, good: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Rows of a table that are validated on and never trained on."""
        none = np.zeros(0, np.int64)
        if good is None or self.recipe.validation:
            return none
        every = self.recipe.keep_out_every
        kept = good[KEPT_PHASE % every :: every]
        most = max(1, self.recipe.validation_pairs // len(self.sets))
        return kept if len(kept) <= most else kept[np.linspace(0, len(kept) - 1, most).astype(int)]

    def _validation_pairs(self, kept: Sequence[NDArray[np.int64]]) -> TokenizedPairs:
        sets = self._validation_sets or self.sets
        most = max(1, self.recipe.validation_pairs // len(sets))
        samples: list[Prepared] = []
        names: list[str] = []
        for i, one in enumerate(sets):
            rng = np.random.default_rng([self.recipe.run.seed, VALIDATION, i])
            for name, row in self._validation_rows(i, one, kept, most):
                try:
                    samples.append(self._prepare(one, row, float(rng.random())))
                    names.append(one.name)
                except BadRowError as wrong:
                    self._skip(one, name, None, wrong)
        if not samples:
            raise TrainingError(
                "no pair is left to validate on: name sets in [[validation]], or let "
                "keep_out_every be smaller than the number of pairs"
            )
        return self._tokenized(samples, names)

    def _validation_rows(
        self, number: int, one: PairSet, kept: Sequence[NDArray[np.int64]], most: int
    ) -> Iterator[tuple[str, Row]]:
        if not self._validation_sets:
            if one.table is not None:
                for index in kept[number]:
                    yield one.table.name(int(index)), one.table.row(int(index))
            return
        if one.table is not None:
            good = self._good_rows(one)
            assert good is not None
            spaced = np.unique(np.linspace(0, len(good) - 1, min(most, len(good))).astype(int))
            for index in good[spaced]:
                yield one.table.name(int(index)), one.table.row(int(index))
            return
        left = most
        for shard in one.shards:
            for i, row in enumerate(shard.open()):
                if not left:
                    return
                left -= 1
                yield f"{shard.name}:{i}", row

    def _begun(
        self, threads: ThreadPoolExecutor, drawn: Drawn
    ) -> tuple[Drawn, str, Future[Prepared]]:
        try:
            name, row = self._rows[drawn.which].fetch(drawn.earlier)
        except BadRowError as wrong:
            failed: Future[Prepared] = Future()
            failed.set_exception(wrong)
            return drawn, f"row of sample {drawn.number}", failed
        one = self.sets[drawn.which]
        return drawn, name, threads.submit(self._prepare, one, row, drawn.choice)

    def _settled(
        self, drawn: Drawn, name: str, prepared: Future[Prepared]
    ) -> tuple[Drawn, Prepared]:
        """The sample, or another of its set where its row is bad.

        Raises:
            TrainingError: many in succession are.
        """
        one = self.sets[drawn.which]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return drawn, prepared.result()
            except BadRowError as wrong:
                self._skip(one, name, drawn.number, wrong)
            prepared = Future()
            try:
                name, row = self._rows[drawn.which].fetch(drawn.earlier, attempt)
                prepared.set_result(self._prepare(one, row, drawn.choice))
            except BadRowError as wrong:
                prepared.set_exception(wrong)
        raise TrainingError(
            f"{one.where}: {ATTEMPTS} rows in succession cannot be read; "
            f"{self._output / SKIPPED} says why"
        )

    def _prepare(self, one: PairSet, row: Row, choice: float) -> Prepared:
        """Decode what has to be; runs in many threads.

        Raises:
            BadRowError: the row cannot be trained on.
        """
        pair = one.schema.pair(row, choice)
        if self._store is None:
            pictures = self._preparation.pictures(pair, one.schema.source_map)
            return Prepared(
                pictures=pictures, codes=None, keys=(b"", b""), instruction=pair.instruction
            )
        keys = self._keys(pair, one.schema.source_map)
        found = [self._store.get(key) for key in keys]
        codes = None
        if found[0] is not None and found[1] is not None:
            first, second = (torch.frombuffer(bytearray(f), dtype=torch.int32) for f in found if f)
            codes = (first, second)
        needed = codes is None or self._with_pixels
        return Prepared(
            pictures=self._preparation.pictures(pair, one.schema.source_map) if needed else None,
            codes=codes,
            keys=keys,
            instruction=pair.instruction,
        )

    def _keys(self, pair: RawPair, source_map: str) -> tuple[bytes, bytes]:
        how = f"{self._preparation.size} {self._preparation.fit.value}"
        return (
            content_key(
                self._identity, how, source_map, pair.target if source_map else pair.source
            ),
            content_key(self._identity, how, "", pair.target),
        )

    def _tokenized(self, samples: Sequence[Prepared], names: list[str]) -> TokenizedPairs:
        fresh = [i for i, one in enumerate(samples) if one.codes is None]
        pictures = [p for i in fresh for p in samples[i].pictures or ()]
        encoded = encode(self._tokenizer, pictures, self._device)
        pairs = {i: (encoded[2 * n], encoded[2 * n + 1]) for n, i in enumerate(fresh)}
        if self._store is not None and fresh:
            self._store.put(
                [
                    (key, codes.numpy().tobytes())
                    for i in fresh
                    for key, codes in zip(samples[i].keys, pairs[i], strict=True)
                ]
            )
        found = [one.codes or pairs[i] for i, one in enumerate(samples)]
        pixels = None
        if self._with_pixels:
            targets = np.stack([one.pictures[1] for one in samples if one.pictures])
            pixels = torch.from_numpy(targets).permute(0, 3, 1, 2)
        return TokenizedPairs(
            torch.stack([source for source, _ in found]),
            torch.stack([target for _, target in found]),
            [one.instruction for one in samples],
            names,
            pixels,
        )

    def _skip(self, one: PairSet, row: str, sample: int | None, wrong: BadRowError) -> None:
        """Report a row that a sample does without."""
        entry = {"data": one.name, "row": row, "sample": sample, "kind": wrong.kind}
        self._record({**entry, "detail": wrong.detail})

    def _damaged(self, shard: str, why: str) -> None:
        self._record({"row": shard, "kind": "broken shard", "detail": why})

    def _record(self, entry: dict[str, object]) -> None:
        self._output.mkdir(parents=True, exist_ok=True)
        with (self._output / SKIPPED).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._noted += 1
        if self._noted <= 10:
            more = f"; further ones are only in {SKIPPED}" if self._noted == 10 else ""
            self._notice(f"skipped {entry['row']}: {entry['detail']}{more}")


@torch.inference_mode()
def encode(
    tokenizer: VQTokenizer, pictures: Sequence[Picture], device: torch.device
) -> list[Tensor]:
    """(S, S, 3) uint8 pictures -> (codes,) int32 each, on the CPU."""
    codes: list[Tensor] = []
    for start in range(0, len(pictures), ENCODED_TOGETHER):
        some = list(pictures[start : start + ENCODED_TOGETHER])
        count = len(some)
        some += [some[-1]] * (ENCODED_TOGETHER - count)
        pixels = torch.from_numpy(np.stack(some)).to(device).permute(0, 3, 1, 2)
        found = tokenizer.encode(pixels.float() / 127.5 - 1)
        codes.extend(found.flatten(1).int().cpu()[:count])
    return codes


def _weights_key(tokenizer: VQTokenizer) -> bytes:
    state = tokenizer.state_dict()
    parts = (value.float().cpu().contiguous().numpy().tobytes() for value in state.values())
    return content_key("codes", *parts)
