"""From a plan to finished files: pictures are read, made and written, all at the same time.

``Maker`` is what makes them: three verbs, of which one has the model. ``run_jobs`` runs them over
the jobs of a plan with threads for reading and writing; ``make_each`` and ``make_all`` over
pictures that are at hand.
"""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from editar_cli import images, metadata
from editar_cli.batch import Job, json_line
from editar_cli.errors import ImageError
from editar_cli.ledger import Ledger, Start
from editar_cli.manifest import Fingerprint
from editar_cli.masks import read_mask
from editar_cli.overlap import Workers

P = TypeVar("P")
R = TypeVar("R")

NO_MEMORY = (
    "memory ran out with one picture at a time; "
    "another --device, --dtype bfloat16 or a smaller model would help"
)
Stages = Mapping[str, int]
"""How many pictures are at which stage of their way."""
_PATIENCE = 0.5
"""Seconds between looks at what other processes are at."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came of one picture.

    Args:
        pixels: (H, W, 3) uint8, the result.
        like: what it is written as: the source's mode, alpha, profile and metadata.
        beside: further pictures, (H, W, 3) uint8, by what they show: "map", "preview".
        notes: what the person should know about this picture.
        candidates: (H, W, 3) uint8 each: what this was chosen from, where all are to be kept.
        found: what was found out about it, for the record and for the note in the output.
    """

    pixels: NDArray[np.uint8]
    like: images.Source
    beside: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    candidates: tuple[NDArray[np.uint8], ...] = ()
    found: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a maker for one picture.

    Args:
        source: the picture, upright.
        text: an instruction or a caption.
        seed: its own.
        mask: (H, W) uint8 at the source's size, 255 where it may change; ``None`` for everywhere.
    """

    source: images.Source
    text: str
    seed: int
    mask: NDArray[np.uint8] | None = None


class Maker(Protocol[P, R]):
    """What a run needs of an editor or a translator: three verbs.

    ``prepare`` and ``finish`` may be called by several threads at once; ``stream`` is where the
    model runs. P is a picture that waits for the model, R what the model makes of it.
    """

    @property
    def facts(self) -> Mapping[str, object]:
        """Model and settings, for the note in each output."""

    def picture_seed(self, key: str, seed: int | None = None) -> int:
        """The seed of the picture with this key; ``seed`` stands in for the run's."""

    def prepare(self, asked: Asked) -> P:
        """All that can be done before the model has a place free.

        Raises:
            ImageError: nothing can be made of this picture.
            MemoryError: memory ran out.
        """

    def vary(self, prepared: P, seed: int) -> P:
        """What ``prepare`` would make of the same picture and text with another seed."""

    def stream(
        self,
        prepared: Iterable[P],
        *,
        slots: int,
        on_drawn: Callable[[float], None],
        on_fewer_slots: Callable[[int], None],
    ) -> Iterator[tuple[int, R]]:
        """Run the model on ``slots`` pictures at a time.

        Args:
            prepared: taken one by one as places become free.
            slots: 1 or more.
            on_drawn: told as work goes on how much more is drawn, a whole picture being 1;
                negative where pictures start again.
            on_fewer_slots: told the new number when memory ran out.

        Yields:
            Number of the picture, in the order they were taken, and what came of it, as they are
            finished.

        Raises:
            MemoryError: memory ran out with one picture at a time, the first of those that were
                taken and not yielded.
        """

    def finish(self, prepared: P, result: R) -> Made:
        """All that can be done once the model has let go of the picture.

        Raises:
            ImageError, MemoryError: as ``prepare``.
        """


def make_each(
    maker: Maker[P, R],
    pictures: Iterable[Asked],
    *,
    slots: int,
    on_drawn: Callable[[float], None] = lambda pictures: None,
) -> Iterator[tuple[int, Made | ImageError]]:
    """What comes of pictures that are at hand.

    Args:
        maker: edits or translates.
        pictures: taken one by one.
        slots: pictures at once, 1 or more.
        on_drawn: as in ``Maker.stream``.

    Yields:
        Number of a picture and what came of it, or why nothing did; as they are finished.

    Raises:
        MemoryError: memory ran out with one picture at a time.
    """
    taken: dict[int, tuple[int, P]] = {}
    refused: list[tuple[int, ImageError]] = []

    def prepared() -> Iterator[P]:
        count = 0
        for number, asked in enumerate(pictures):
            try:
                picture = maker.prepare(asked)
            except ImageError as error:
                refused.append((number, error))
                continue
            taken[count] = number, picture
            count += 1
            yield picture

    results = maker.stream(
        prepared(), slots=slots, on_drawn=on_drawn, on_fewer_slots=lambda slots: None
    )
    for index, result in results:
        number, picture = taken.pop(index)
        yield number, maker.finish(picture, result)
    yield from refused


def make_all(
    maker: Maker[P, R],
    pictures: Sequence[Asked],
    *,
    slots: int = 1,
    on_drawn: Callable[[float], None] = lambda pictures: None,
) -> list[Made | ImageError]:
    """``make_each`` of a list, in its order."""
    made = dict(make_each(maker, pictures, slots=min(slots, len(pictures)), on_drawn=on_drawn))
    return [made[number] for number in range(len(pictures))]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one picture.

    Args:
        job: the picture.
        seed: its own seed; ``None`` where that never became known.
        seconds: its own reading, preparing, finishing and writing, and its share of the time that
            the model worked on it and others at once.
        error: what went wrong, or ``None``.
        notes: what the person should know about this picture.
        found: as ``Made`` has it.
        skipped: another process had done it when its turn came.
    """

    job: Job
    seed: int | None = None
    seconds: float = 0.0
    error: str | None = None
    notes: tuple[str, ...] = ()
    found: Mapping[str, object] = field(default_factory=dict)
    skipped: bool = False

    def record(self) -> dict[str, object]:
        """What is told of this picture: in lines of JSON, in the manifest and in the report."""
        if self.skipped:
            return self.job.record("skipped")
        more: dict[str, object] = {} if self.seed is None else {"seed": self.seed}
        more["seconds"] = round(self.seconds, 3)
        more.update(self.found)
        if self.notes:
            more["notes"] = list(self.notes)
        if self.error is None:
            return self.job.record("done", **more)
        return self.job.record("failed", **more, error=self.error)

    def to_json(self) -> str:
        """One line of JSON."""
        return json_line(self.record())


def in_words(stages: Stages) -> str:
    """Where pictures are on their way, such as ``editing 4, writing 1``."""
    return ", ".join(f"{stage} {count}" for stage, count in stages.items() if count)


def run_jobs(
    jobs: Iterable[Job],
    maker: Maker[P, R],
    on_outcome: Callable[[Outcome], None],
    *,
    slots: int,
    threads: int,
    format: str = "auto",
    read: images.ReadOptions | None = None,
    strip: bool = False,
    doing: str = "editing",
    most_failures: int | None = None,
    ledger: Ledger | None = None,
    on_progress: Callable[[float, Stages], None] = lambda done, stages: None,
    on_fewer_slots: Callable[[int], None] = lambda slots: None,
) -> None:
    """Read, make and write pictures, all at the same time and each file whole.

    Threads read ahead of the model and write behind it, as many pictures as there are threads and
    one more; the model runs in this thread, which also does what is told and asked here. A picture
    that cannot be read, made or written becomes an outcome with an error. What else goes wrong is
    raised, once the pictures that only wait to be written are written.

    Args:
        jobs: what to do, in order; taken one by one as places for reading ahead become free.
        maker: edits or translates.
        on_outcome: told what became of each picture, in order, as soon as its file is complete.
        slots: pictures at once in the model, 1 or more; halved where memory runs out, and no more
            than there are jobs where their number is known.
        threads: that read and write; with 0 pictures are read and written between runs of the
            model.
        format: format of results for standard output: ``auto`` or an extension without its dot.
        read: which pictures are refused.
        strip: write no metadata.
        doing: what is going on, in a word.
        most_failures: stop after so many outcomes with an error, 1 or more; then only those that
            are written already are told.
        ledger: keeps account of the pictures, and other processes from doing the same; what these
            are at is put off to the end, and skipped where they have done it. It is open.
        on_progress: told how many pictures are done, fractions included, and how many are at
            which stage.
        on_fewer_slots: told the new number when memory ran out.
    """
    assert slots >= 1, slots
    if isinstance(jobs, Sized):
        slots = min(slots, max(1, len(jobs)))
    with Workers(threads) as workers:
        _Run(
            todo=iter(jobs),
            maker=maker,
            workers=workers,
            slots=slots,
            format=format,
            read=read or images.ReadOptions(),
            strip=strip,
            most_failures=most_failures,
            ledger=ledger or Ledger(),
            on_outcome=on_outcome,
            doing=doing,
            on_progress=on_progress,
            on_fewer_slots=on_fewer_slots,
        ).go()


class _Enough(Exception):
    """As many pictures have failed as a run may stand."""


@dataclass(kw_only=True, eq=False)
class _Picture(Generic[P]):
    """A job on its way.

    Args:
        number: its place among the jobs.
        job, seed: the picture.
        seconds: what it took so far, without the model.
        prepared: once it waits for the model, or an error once that is known.
        shared: the clock of shares as the model took it.
        fingerprint: of its file, where that is kept account of.
    """

    number: int
    job: Job
    seed: int
    seconds: float = 0.0
    prepared: P | ImageError | None = None
    shared: float = 0.0
    fingerprint: Fingerprint | None = None


@dataclass(kw_only=True, eq=False)
class _Reading(Generic[P]):
    """What the variations of a picture share: it is read and prepared once.

    Args:
        job: the first of them.
        data: where it came through standard input.
        found: once the first of them is prepared.
        fingerprint: as in ``_Picture``.
    """

    job: Job
    data: bytes
    found: P | ImageError | None = None
    fingerprint: Fingerprint | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Read(NamedTuple, Generic[P]):
    """What came of reading and preparing a picture."""

    found: P | ImageError
    fingerprint: Fingerprint | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Written:
    """The end of a picture: its result, or an error; ``data`` is still to go to standard output."""

    seconds: float
    notes: tuple[str, ...] = ()
    found: Mapping[str, object] = field(default_factory=dict)
    data: bytes | None = None
    error: ImageError | None = None


class _Shares:
    """Time that several pictures take at once, a share of it for each.

    Args:
        count: how many pictures there are now.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self.each = 0.0
        self._count = count
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Share out what went by since ``start``."""
        if count := self._count():
            self.each += (time.perf_counter() - self._since) / count
        self._since = time.perf_counter()

    def start(self) -> None:
        """What went by since ``stop`` is nobody's."""
        self._since = time.perf_counter()


@dataclass(kw_only=True)
class _Run(Generic[P, R]):
    """One call of ``run_jobs``; its thread alone touches what is here, beside ``_read`` and
    ``_write``, which change nothing."""

    todo: Iterator[Job]
    maker: Maker[P, R]
    workers: Workers
    slots: int
    format: str
    read: images.ReadOptions
    strip: bool
    most_failures: int | None
    ledger: Ledger
    on_outcome: Callable[[Outcome], None]
    doing: str
    on_progress: Callable[[float, Stages], None]
    on_fewer_slots: Callable[[int], None]

    def __post_init__(self) -> None:
        self.put_off: deque[Job] = deque()
        """Jobs that another process is at."""
        self.begun = 0
        """Jobs that have had their turn."""
        self.ahead: deque[_Picture[P]] = deque()
        self.reading: _Reading[P] | None = None
        """What is shared by the variations of the picture that was begun last."""
        self.in_model: dict[int, _Picture[P]] = {}
        self.behind = 0
        """Pictures that are being finished and written."""
        self.ended: dict[int, tuple[Outcome, bytes | None]] = {}
        """What is not told yet: its turn has not come."""
        self.told = 0
        self.failures = 0
        self.told_failures = 0
        self.through = 0
        """Pictures that the model is done with or never saw."""
        self.drawn = 0.0
        """Parts of the pictures in the model."""
        self.shares = _Shares(lambda: len(self.in_model))

    def go(self) -> None:
        """All of it."""
        try:
            self._go_on()
            while self.put_off and not self._enough(self.failures):
                self._wait_for_others()
                self._go_on()
        except _Enough:
            self.workers.close()
            for number in sorted(self.ended):
                if self.ended[number][0].error is None:
                    self._tell(*self.ended[number])

    def _go_on(self) -> None:
        """Do all that is no other process's."""
        while not self._stream() and self._give_up_one():
            pass
        while self.behind:
            self._wait()
        self._tell_in_turn()

    def _wait_for_others(self) -> None:
        """Until a job that was another process's is to be done here, or none is left."""
        while self.put_off:
            for _ in range(len(self.put_off)):
                self._begin(self.put_off.popleft())
                if self.ahead:
                    return
            self._tell_in_turn()
            if self.put_off:
                self._look_up()
                time.sleep(_PATIENCE)

    def _stream(self) -> bool:
        """Make pictures until none is left; False where memory ran out with one at a time."""
        again = list(self.in_model.values())
        order: dict[int, _Picture[P]] = {}
        self.drawn = 0.0

        def prepared() -> Iterator[P]:
            for index, picture in enumerate(chain(again, iter(self._next, None))):
                order[index] = picture
                if picture.number not in self.in_model:
                    picture.shared = self.shares.each
                    self.in_model[picture.number] = picture
                assert picture.prepared is not None and not isinstance(picture.prepared, ImageError)
                yield picture.prepared

        self.shares.start()
        try:
            for index, result in self.maker.stream(
                prepared(),
                slots=self.slots,
                on_drawn=self._has_drawn,
                on_fewer_slots=self._has_fewer_slots,
            ):
                self._finish(order.pop(index), result)
        except MemoryError:
            return False
        return True

    def _give_up_one(self) -> bool:
        """The picture that was too much fails; False where there is none."""
        self.shares.stop()
        if self.in_model:
            picture = self.in_model[min(self.in_model)]
        else:
            # There was no memory even before a picture came.
            one = self._next()
            if one is None:
                return False
            picture = one
            picture.shared = self.shares.each
        picture.seconds += self.shares.each - picture.shared
        self.in_model.pop(picture.number, None)
        self.through += 1
        error = ImageError(f"{picture.job.source_name}: {NO_MEMORY}")
        self._end(picture, _Written(seconds=0.0, error=error))
        self._tell_in_turn()
        return True

    def _next(self) -> _Picture[P] | None:
        """A picture for the model, or ``None`` where none is left."""
        self.shares.stop()
        try:
            while True:
                while len(self.ahead) <= self.workers.threads:
                    job = next(self.todo, None)
                    if job is None:
                        self.reading = None
                        break
                    self._begin(job)
                if not self.ahead or self._enough(self.failures):
                    return None
                picture = self.ahead[0]
                while picture.prepared is None:
                    self._wait()
                self.ahead.popleft()
                if not isinstance(picture.prepared, ImageError):
                    return picture
                self.through += 1
                self._end(picture, _Written(seconds=0.0, error=picture.prepared))
                self._tell_in_turn()
        finally:
            self.shares.start()

    def _begin(self, job: Job) -> None:
        """Have a picture read and prepared, if it is for us to do."""
        start = self.ledger.begin(job)
        if start is Start.TAKEN:
            self.put_off.append(job)
            return
        seed = self.maker.picture_seed(job.seed_key, job.seed)
        picture: _Picture[P] = _Picture(number=self.begun, job=job, seed=seed)
        self.begun += 1
        if start is Start.DONE:
            self.through += 1
            self.ended[picture.number] = Outcome(job=job, seed=seed, skipped=True), None
            return
        if self.reading is None or not job.is_variation_of(self.reading.job):
            # This thread can be stopped while it waits for a pipe.
            data = sys.stdin.buffer.read() if job.source is None else b""
            self.reading = _Reading(job=job, data=data)

        def then(read: "_Read[P]") -> None:
            picture.prepared, picture.fingerprint, picture.seconds = read

        self.ahead.append(picture)
        self.workers.submit(partial(self._read, self.reading, picture.seed), then, urgent=True)

    def _read(self, reading: "_Reading[P]", seed: int) -> "_Read[P]":
        # One thread reads, those with other variations wait for it.
        with reading.lock:
            start = time.perf_counter()
            if reading.found is None:
                found = self._prepare(reading, seed)
                if reading.job.variations > 1:
                    reading.found = found
            else:
                found = reading.found
                if not isinstance(found, ImageError):
                    found = self.maker.vary(found, seed)
        return _Read(found, reading.fingerprint, time.perf_counter() - start)

    def _prepare(self, reading: "_Reading[P]", seed: int) -> P | ImageError:
        job, data = reading.job, reading.data
        reading.data = b""
        if job.home is not None and job.source is not None:
            # What cannot be read is told below.
            with contextlib.suppress(OSError):
                reading.fingerprint = Fingerprint.of(job.source)
        try:
            source = _source_of(job, data, self.read)
            mask = None
            if job.mask is not None:
                mask = read_mask(job.mask, source.size, source.name, replace(self.read, frame=None))
            asked = Asked(source=source, text=job.instruction, seed=seed, mask=mask)
            return self.maker.prepare(asked)
        except ImageError as error:
            return error
        except MemoryError:
            return ImageError(f"{job.source_name}: {NO_MEMORY}")

    def _finish(self, picture: _Picture[P], result: R) -> None:
        """Have a picture of the model finished and written."""
        self.shares.stop()
        picture.seconds += self.shares.each - picture.shared
        del self.in_model[picture.number]
        self.through += 1
        self.drawn -= 1.0
        while self.behind > self.workers.threads:
            self._wait()

        def then(written: _Written) -> None:
            self.behind -= 1
            self._end(picture, written)

        self.behind += 1
        prepared, picture.prepared = picture.prepared, None
        assert prepared is not None and not isinstance(prepared, ImageError)
        self.workers.submit(partial(self._write, picture, prepared, result), then)
        self._look_up()
        self.shares.start()

    def _write(self, picture: _Picture[P], prepared: P, result: R) -> _Written:
        start = time.perf_counter()
        job, seed = picture.job, picture.seed
        notes: tuple[str, ...] = ()
        found: Mapping[str, object] = {}
        data: bytes | None = None
        error: ImageError | None = None

        def ready(part: Path) -> None:
            seconds = picture.seconds + time.perf_counter() - start
            outcome = Outcome(job=job, seed=seed, seconds=seconds, notes=notes, found=found)
            record = outcome.record()
            self.ledger.ready(job, record, picture.fingerprint, part)

        try:
            made = self.maker.finish(prepared, result)
            notes, found = (*made.like.notes, *made.notes), made.found
            note = _note({**self.maker.facts, **self.read.facts, **made.found}, job, seed)
            data = _write(job, made, note, format=self.format, strip=self.strip, ready=ready)
        except ImageError as reason:
            error = reason
        except MemoryError:
            error = ImageError(f"{job.source_name}: {NO_MEMORY}")
        seconds = time.perf_counter() - start
        return _Written(
            seconds=seconds, notes=() if error else notes, found=found, data=data, error=error
        )

    def _end(self, picture: _Picture[P], written: _Written) -> None:
        outcome = Outcome(
            job=picture.job,
            seed=picture.seed,
            seconds=picture.seconds + written.seconds,
            error=None if written.error is None else str(written.error),
            notes=written.notes,
            found=written.found,
        )
        self.ledger.end(picture.job, outcome.record())
        self.ended[picture.number] = outcome, written.data
        self.failures += written.error is not None

    def _tell_in_turn(self) -> None:
        while self.told in self.ended:
            outcome, data = self.ended.pop(self.told)
            self.told += 1
            self._tell(outcome, data)
            self.told_failures += outcome.error is not None
            if self._enough(self.told_failures):
                raise _Enough

    def _enough(self, failures: int) -> bool:
        return self.most_failures is not None and failures >= self.most_failures

    def _tell(self, outcome: Outcome, data: bytes | None) -> None:
        if data is not None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        self.on_outcome(outcome)

    def _wait(self) -> None:
        """Until a picture is read or written."""
        self.workers.wait()
        self._tell_in_turn()

    def _look_up(self) -> None:
        """From work: what has been done meanwhile?"""
        self.workers.settle()
        self._tell_in_turn()
        done = min(self.through + max(self.drawn, 0.0), self.begun)
        self.on_progress(done, self._stages())

    def _stages(self) -> Stages:
        """Where pictures are on their way."""
        return {
            "reading": sum(picture.prepared is None for picture in self.ahead),
            self.doing: len(self.in_model),
            "writing": self.behind,
            "at work elsewhere": len(self.put_off),
            "failed": self.failures,
        }

    def _has_drawn(self, pictures: float) -> None:
        self.drawn += pictures
        self._look_up()

    def _has_fewer_slots(self, slots: int) -> None:
        self.slots = slots
        self.on_fewer_slots(slots)


def _source_of(job: Job, data: bytes, options: images.ReadOptions) -> images.Source:
    if job.source is not None:
        return images.read_image(job.source, options=options)
    if not data:
        raise ImageError("standard input: is empty")
    return images.read_image(BytesIO(data), name="standard input", options=options)


def _note(facts: Mapping[str, object], job: Job, seed: int) -> metadata.Note:
    own = {} if job.mask is None else {"mask": str(job.mask)}
    return {**facts, **own, job.asked: job.instruction, "seed": seed}


def _write(
    job: Job,
    made: Made,
    note: metadata.Note,
    *,
    format: str,
    strip: bool,
    ready: Callable[[Path], None],
) -> bytes | None:
    """Write the files of a picture; the bytes of one for standard output are given back."""
    extension = images.written_extension(made.like.extension) if format == "auto" else f".{format}"
    path = job.output or Path(f"stdout{extension}")
    name = images.output_format(path, made.like)
    encode = partial(images.encode_image, note=note, strip=strip)
    data = encode(made.pixels, made.like, format=name)
    # The result last: where it stands, all that belongs to it stands too.
    for what, file in job.beside.items():
        plain = images.Source(name=str(file), pixels=made.beside[what])
        kind = images.output_format(file, plain)
        images.write_image(file, encode(plain.pixels, plain, format=kind))
    if job.candidates:
        for number, (file, pixels) in enumerate(
            zip(job.candidates, made.candidates, strict=True), 1
        ):
            kind = images.output_format(file, made.like)
            one = {**note, "candidate": number}
            images.write_image(
                file, images.encode_image(pixels, made.like, format=kind, note=one, strip=strip)
            )
    if job.output is None:
        return data
    images.write_image(job.output, data, ready=ready)
    return None
