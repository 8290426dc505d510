"""`bench throughput`: how fast the engine is, beside the plain way and beside what is possible.

For each number format, strategy and batch size the engine edits whole pictures, through the path
that every command takes, and its time is taken apart. Where a picture would take more than
``PATIENCE`` seconds, or a number of steps was asked for, the sequential strategy is measured at
that many steps instead: each in the middle of one of equally long parts of the picture, so that
their mean context is the whole picture's mean, and all other steps are taken to cost the same. The
speculative strategy edits whole pictures always, since guesses hold only in real ones.

The plain way (``plain``) runs first, on the same weights and pictures, in the first number format.
All its steps cost the same, so that a few in the middle of the picture stand for all.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from editar_cli.benchmarks.plain import PlainDecoder
from editar_cli.benchmarks.random_model import PREFIX, random_bundle
from editar_cli.benchmarks.roofline import (
    Machine,
    cache_bytes,
    floor_of_pass,
    measure_machine,
    name_of,
    weight_bytes,
    weight_count,
)
from editar_cli.benchmarks.timed_engine import (
    Clock,
    Seconds,
    StrategyName,
    TimedEngine,
    TimedRows,
    forget,
    peak_memory,
    reset_peak,
)
from editar_cli.checkpoints.native import Bundle, load_bundle
from editar_cli.checkpoints.registry import resolve_model
from editar_cli.config import SamplingConfig
from editar_cli.engine import Task, image_seed, ran_out_of_memory
from editar_cli.errors import UsageError
from editar_cli.geometry import Fit
from editar_cli.images import prepare, read_image
from editar_cli.sampling import sample

# Seconds of decoding one batch beyond which a sequential run is measured in parts.
PATIENCE = 120.0
STEPS = 48
INSTRUCTIONS = (
    "make it snowy",
    "make it night",
    "turn it into a pencil sketch",
    "make it look like autumn",
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How the engine's weights are stored.

    Args:
        dtype: number format of activations, cache, and weights unless ``int8``.
        int8: weights in 8 bits.
    """

    dtype: torch.dtype
    int8: bool

    @property
    def name(self) -> str:
        """Such as ``bfloat16`` or ``bfloat16+int8``."""
        return name_of(self.dtype) + ("+int8" if self.int8 else "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured.

    Args:
        variants: number formats; the plain way runs in the dtype of the first.
        batch_sizes: pictures at once.
        strategies: how codes are guessed.
        sampling: changes to the model's own settings.
        pictures: per measurement; never fewer than the batch, which is the default.
        steps: measure so many steps instead of whole pictures.
        baseline_steps: of the plain way; 0 leaves it out.
    """

    variants: tuple[Variant, ...]
    batch_sizes: tuple[int, ...] = (1,)
    strategies: tuple[StrategyName, ...] = ("sequential",)
    sampling: dict[str, Any]
    pictures: int | None = None
    steps: int | None = None
    baseline_steps: int = 24


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One line of the table.

    Args:
        variant: number format of the weights.
        strategy: ``plain`` is the baseline.
        batch: pictures at once.
        pictures: that were edited.
        steps: that were measured; ``None`` where all of them were.
        seconds: per picture.
        passes: of the transformer per picture, behind its prefix.
        pass_seconds: of one, all pictures of the batch together.
        codes_per_pass: codes of a picture that stood after a pass, on average.
        codes_read: codes of a picture that a pass read.
        floor_memory, floor_compute: least seconds of such a pass, see ``roofline``.
        weights: bytes of the weights that a pass reads.
        cache: bytes of keys and values, one picture.
        peak_memory: bytes; of the process on a CPU, of torch's allocations on CUDA.
        speedup: seconds of the plain way over these, whole pictures.
        decode_speedup: the same of decoding alone.
        baseline_batch: of the plain run that is compared with.
    """

    variant: str
    strategy: str
    batch: int
    pictures: int
    steps: int | None
    seconds: Seconds
    passes: float
    pass_seconds: float
    codes_per_pass: float
    codes_read: float
    weights: int
    cache: int
    peak_memory: int
    floor_memory: float | None = None
    floor_compute: float | None = None
    speedup: float | None = None
    decode_speedup: float | None = None
    baseline_batch: int | None = None

    @property
    def floor(self) -> float | None:
        """Least seconds of a pass."""
        if self.floor_memory is None or self.floor_compute is None:
            return None
        return max(self.floor_memory, self.floor_compute)

    @property
    def fraction(self) -> float | None:
        """Floor over measured: at most 1 for weights that no cache of the processor holds."""
        return None if self.floor is None else self.floor / self.pass_seconds

    def record(self) -> dict[str, object]:
        """For JSON: seconds, bytes and ratios."""
        return {
            **asdict(self),
            "seconds": {**asdict(self.seconds), "total": self.seconds.total},
            "images_per_second": 1 / self.seconds.total,
            "passes_per_code": 1 / self.codes_per_pass,
            "floor": self.floor,
            "fraction": self.fraction,
        }


@dataclass(frozen=True, kw_only=True)
class ThroughputResult:
    """Everything one run measured.

    Args:
        device: such as ``cpu``.
        threads: that a CPU was used with.
        random_weights: then what codes stand after a pass says nothing of trained models.
        sampling: that all pictures were drawn with.
        machine: what the device can do.
        measurements: the baselines first.
    """

    device: str
    threads: int
    random_weights: bool
    sampling: SamplingConfig
    machine: Machine
    measurements: list[Measurement]

    def record(self) -> dict[str, object]:
        """For JSON: seconds, bytes and ratios."""
        return {**asdict(self), "measurements": [m.record() for m in self.measurements]}


HEADERS = (
    "weights, strategy",
    "batch",
    "s / picture",
    "tokenize",
    "prefill",
    "decode",
    "detokenize",
    "passes",
    "codes / pass",
    "ms / pass",
    "floor ms",
    "reached",
    "memory MB",
    "cache MB / picture",
    "x plain",
    "x decoding",
)


def table_rows(result: ThroughputResult) -> list[tuple[str, ...]]:
    """The measurements as text under `HEADERS`."""
    rows: list[tuple[str, ...]] = []
    for m in result.measurements:
        fraction, floor = m.fraction, m.floor
        rows.append(
            (
                f"{m.variant}, {m.strategy}",
                str(m.batch),
                _short(m.seconds.total),
                _short(m.seconds.tokenize),
                _short(m.seconds.prefill),
                _short(m.seconds.decode),
                _short(m.seconds.detokenize),
                f"{m.passes:.0f}" + ("" if m.steps is None else f" from {m.steps}"),
                f"{m.codes_per_pass:.2f}",
                _short(1000 * m.pass_seconds),
                "-" if floor is None else _short(1000 * floor),
                "-" if fraction is None else f"{100 * fraction:.0f} %",
                f"{m.peak_memory / 1e6:.0f}",
                _short(m.cache / 1e6),
                "-" if m.speedup is None else f"{m.speedup:.2f}",
                "-" if m.decode_speedup is None else f"{m.decode_speedup:.2f}",
            )
        )
    return rows


def _short(value: float) -> str:
    """Three figures, but never fewer than stand before the point."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def machine_lines(result: ThroughputResult) -> list[str]:
    """What the floor stands on, in a sentence or two."""
    machine = result.machine
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {name}" for name, rate in machine.rates.items())
    lines = [
        f"{result.device} ({result.threads} threads): reads {machine.read / 1e9:.1f} GB/s, copies "
        f"{machine.copy / 1e9:.1f} GB/s, multiplies {rates}"
    ]
    if result.random_weights:
        lines.append("random weights: codes per pass say nothing of a trained model's")
    return lines


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is edited: (N, 3, S, S) pixels in [-1, 1], N sentences, N seeds."""

    pixels: Tensor
    instructions: list[str]
    seeds: list[int]

    def tasks(self) -> Iterator[Task]:
        """For an engine."""
        for pixels, instruction, seed in zip(
            self.pixels, self.instructions, self.seeds, strict=True
        ):
            # The plain way makes the result alone, too.
            yield Task(pixels=pixels, instruction=instruction, seed=seed, with_source=False)


def run_throughput(
    model: str,
    device: torch.device,
    settings: Settings,
    *,
    pictures: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
) -> ThroughputResult:
    """Measure everything that the settings name.

    Args:
        model: a bundle by name or path, or ``random:`` and a published size.
        device: where.
        settings: what.
        pictures: files to edit; a random model needs none, and edits noise.
        say: told what is being done.

    Raises:
        ModelError: the model cannot be loaded.
        UsageError: a name is wrong, or pictures are missing.
    """
    if not model.startswith(PREFIX) and not pictures:
        raise UsageError("--data: a trained model needs pictures; name a folder of photographs")
    say("measuring the machine")
    machine = measure_machine(device, dict.fromkeys(v.dtype for v in settings.variants))
    measured: list[Measurement] = []
    for number, variant in enumerate(settings.variants):
        say(f"loading {model}, {variant.name}")
        bundle = load_model(model, device, variant.dtype)
        sampling = replace(bundle.config.sampling, image_guidance=None)
        sampling = replace(sampling, **settings.sampling)
        count = max(settings.batch_sizes)
        inputs = make_inputs(bundle, max(count, settings.pictures or count), pictures)
        if number == 0 and settings.baseline_steps:
            for batch in settings.batch_sizes:
                say(f"plain, {variant.name.removesuffix('+int8')}, batch {batch}")
                with memory_permitting(say):
                    measured.append(
                        measure_plain(
                            bundle, sampling, _some(inputs, batch), settings.baseline_steps
                        )
                    )
        baselines = {m.batch: m for m in measured if m.strategy == "plain"}
        for strategy in settings.strategies:
            for batch in settings.batch_sizes:
                say(f"{strategy}, {variant.name}, batch {batch}")
                with memory_permitting(say):
                    result = measure_engine(
                        bundle,
                        variant,
                        strategy,
                        sampling,
                        _some(inputs, max(batch, settings.pictures or batch)),
                        batch,
                        machine,
                        steps=settings.steps,
                    )
                    measured.append(compared(result, baselines))
                gc.collect()
        del bundle
        forget(device)
    return ThroughputResult(
        device=str(device),
        threads=torch.get_num_threads(),
        random_weights=model.startswith(PREFIX),
        sampling=sampling,
        machine=machine,
        measurements=measured,
    )


def load_model(name: str, device: torch.device, dtype: torch.dtype) -> Bundle:
    """A bundle by name or path, or one of random weights."""
    if name.startswith(PREFIX):
        return random_bundle(name, device=device, dtype=dtype)
    return load_bundle(resolve_model(name), device=device, dtype=dtype)


def make_inputs(bundle: Bundle, count: int, pictures: Sequence[Path]) -> Inputs:
    """So many of some pictures, or of noise where there are none; no two are alike.

    Where there are fewer, they come again, moved sideways: pictures that are the same share
    their prefix in the engine, which would flatter it.
    """
    size = bundle.config.image_size
    if not pictures:
        noise = torch.Generator().manual_seed(0)
        pixels = torch.rand(count, 3, size, size, generator=noise) * 2 - 1
    else:
        fit = Fit(bundle.config.fit)
        squares = [
            torch.from_numpy(prepare(read_image(path), size, fit)) for path in pictures[:count]
        ]
        step = max(1, size * len(squares) // count)
        pixels = torch.stack(
            [squares[i % len(squares)].roll(i // len(squares) * step, -1) for i in range(count)]
        )
    return Inputs(
        pixels=pixels,
        instructions=[INSTRUCTIONS[i % len(INSTRUCTIONS)] for i in range(count)],
        seeds=[image_seed(0, str(i)) for i in range(count)],
    )


@torch.inference_mode()
def measure_plain(
    bundle: Bundle, sampling: SamplingConfig, inputs: Inputs, steps: int
) -> Measurement:
    """The plain way on one batch.

    Args:
        bundle: before an engine has prepared it.
        sampling: without image guidance.
        inputs: the batch.
        steps: how many are measured, in the middle of the picture; the others cost the same.
    """
    reset_peak(bundle.device)
    batch, total = len(inputs.seeds), bundle.transformer.config.codes
    clock = Clock(bundle.device)
    decoder = PlainDecoder(bundle.transformer, batch, sampling)
    seeds = torch.tensor(inputs.seeds, device=bundle.device)

    def before() -> Tensor:
        with clock.part("tokenize"):
            source = bundle.tokenizer.encode(inputs.pixels.to(bundle.device)).flatten(1)
        with clock.part("text"):
            text = bundle.text_encoder.encode(inputs.instructions).to(bundle.device)
        with clock.part("prefill"):
            return decoder.prefill(source, text, seeds)

    codes = before()
    for name in ("tokenize", "text", "prefill"):  # the first run warms up
        clock.seconds[name] = 0.0
    codes = before()
    steps = max(1, min(steps, total - 1))
    first = 1 + (total - 1 - steps) // 2
    for position in range(first, min(first + 2, total)):
        decoder.step(codes, position, seeds)
    with clock.part("decode"):
        for position in range(first, min(first + steps, total)):
            codes = decoder.step(codes, position, seeds)
    with clock.part("detokenize"):
        grid = bundle.transformer.config.grid
        bundle.tokenizer.decode(codes[:, None].expand(-1, total).view(batch, grid, grid))
    step = clock.seconds["decode"] / steps
    parts = clock.seconds
    return Measurement(
        variant=name_of(bundle.dtype),
        strategy="plain",
        batch=batch,
        pictures=batch,
        steps=None if steps >= total - 1 else steps,
        seconds=Seconds(
            tokenize=parts["tokenize"] / batch,
            text=parts["text"] / batch,
            prefill=parts["prefill"] / batch,
            decode=step * (total - 1) / batch,
            detokenize=parts["detokenize"] / batch,
        ),
        passes=total - 1,
        pass_seconds=step,
        codes_per_pass=1.0,
        codes_read=1.0,
        weights=weight_bytes(bundle.transformer),
        cache=decoder.nbytes // batch,
        peak_memory=peak_memory(bundle.device),
    )


@torch.inference_mode()
def measure_engine(
    bundle: Bundle,
    variant: Variant,
    strategy: StrategyName,
    sampling: SamplingConfig,
    inputs: Inputs,
    batch: int,
    machine: Machine,
    *,
    steps: int | None = None,
) -> Measurement:
    """The engine on some pictures, ``batch`` at a time.

    Args:
        bundle: its transformer is prepared for decoding here.
        variant: how.
        strategy: how codes are guessed.
        sampling: of all pictures.
        inputs: at least ``batch`` of them.
        batch: pictures at once.
        machine: for the floor.
        steps: measure so many steps, not whole pictures (the sequential strategy only).

    Raises:
        MemoryError: the batch does not fit.
    """
    reset_peak(bundle.device)
    clock = Clock(bundle.device)
    engine = TimedEngine(bundle, clock, int8=variant.int8, strategy=strategy)
    rows = engine.rows(batch, sampling)
    codes = bundle.transformer.config.codes
    step = _warm_up(engine, _some(inputs, batch), sampling)
    if strategy == "speculative":
        steps = None
    elif steps is None and step * codes * len(inputs.seeds) / batch > PATIENCE:
        steps = STEPS
    if steps is None:
        pictures = len(inputs.seeds)
        passes = _whole(engine, inputs, batch, sampling)
        seconds = clock.per_picture(pictures)
        pass_seconds = seconds.decode * pictures / max(1, rows.passes)
    else:
        pictures = batch
        steps = min(steps, codes - 1)
        seconds = _parts(engine, _some(inputs, batch), sampling, steps)
        passes, pass_seconds = codes - 1, seconds.decode * batch / (codes - 1)
    live = rows.rows_fed / rows.passes
    read = rows.codes_fed / rows.rows_fed
    config, layout = bundle.transformer.config, rows.layout
    stored = weight_bytes(bundle.transformer)
    floor = floor_of_pass(
        machine,
        weights=stored,
        cache=live * cache_bytes(config, layout, bundle.dtype.itemsize),
        products=weight_count(config) * live * read * layout.branches,
        dtype=variant.dtype,
    )
    return Measurement(
        variant=variant.name,
        strategy=strategy,
        batch=batch,
        pictures=pictures,
        steps=steps,
        seconds=seconds,
        passes=passes,
        pass_seconds=pass_seconds,
        codes_per_pass=(codes - 1) / passes,
        codes_read=read,
        weights=stored,
        cache=rows.cache.nbytes // batch,
        floor_memory=floor.memory,
        floor_compute=floor.compute,
        peak_memory=peak_memory(bundle.device),
    )


def compared(result: Measurement, baselines: dict[int, Measurement]) -> Measurement:
    """With the ratio to the plain way: of the same batch, or of the largest that ran."""
    if not baselines:
        return result
    batch = result.batch if result.batch in baselines else max(baselines)
    plain = baselines[batch].seconds
    return replace(
        result,
        speedup=plain.total / result.seconds.total,
        decode_speedup=plain.decode / result.seconds.decode,
        baseline_batch=batch,
    )


def spread(steps: int, total: int) -> list[int]:
    """The middles of so many equally long parts of ``range(total)``; their mean is its mean."""
    return [int((part + 0.5) * total / steps) for part in range(steps)]


def _whole(engine: TimedEngine, inputs: Inputs, batch: int, sampling: SamplingConfig) -> float:
    """Edit all pictures; passes of one, on average."""

    def refuse(slots: int) -> None:
        raise MemoryError(f"only {slots} fit")

    rows = engine.rows(batch, sampling)
    for _ in range(1 + _rehearsals(engine)):
        rows.reset()
        engine.clock.seconds.clear()
        with engine.clock.part("total"):
            done = list(engine.stream(inputs.tasks(), sampling, slots=batch, on_fewer_slots=refuse))
    return sum(edited.passes for edited in done) / len(done)


def _parts(engine: TimedEngine, inputs: Inputs, sampling: SamplingConfig, steps: int) -> Seconds:
    """One batch, with some steps in place of all."""
    clock, batch, grid = engine.clock, len(inputs.seeds), engine.transformer.config.grid
    fed = grid * grid - 1
    rows = engine.rows(batch, sampling)
    seeds = torch.tensor(inputs.seeds, device=rows.device)
    with clock.part("total"):
        code = _begin(engine, inputs, sampling)
        for _ in range(_rehearsals(engine)):
            for place in spread(steps, fed):
                code = _step(rows, code, place, seeds)
        rows.reset()
        with clock.part("decode"):
            for place in spread(steps, fed):
                code = _step(rows, code, place, seeds)
        # As the engine does it: one by one.
        for _ in range(batch):
            engine.detokenize(code[:1, :1].expand(1, grid * grid).reshape(1, grid, grid))
    decode = clock.seconds["decode"] / steps * fed / batch
    return replace(clock.per_picture(batch), decode=decode)


def _rehearsals(engine: TimedEngine) -> int:
    """Runs before the one that counts: on CUDA a shape is met, then captured, then replayed."""
    return 2 if engine.bundle.device.type == "cuda" else 0


def _warm_up(engine: TimedEngine, inputs: Inputs, sampling: SamplingConfig) -> float:
    """Everything once, untimed; seconds of a step in the middle of a picture."""
    grid = engine.transformer.config.grid
    rows = engine.rows(len(inputs.seeds), sampling)
    code = _begin(engine, inputs, sampling)
    engine.detokenize(torch.zeros(1, grid, grid, dtype=torch.int64, device=rows.device))
    seeds = torch.tensor(inputs.seeds, device=rows.device)
    middle, seconds = (grid * grid - 1) // 2, 0.0
    for _ in range(3):
        begun = perf_counter()
        code = _step(rows, code, middle, seeds)
        seconds = perf_counter() - begun
    engine.clock.seconds.clear()
    return seconds


def _begin(engine: TimedEngine, inputs: Inputs, sampling: SamplingConfig) -> Tensor:
    """Tokenize and read the prefixes as the engine does; (B, 1) first codes."""
    rows = engine.rows(len(inputs.seeds), sampling)
    requests = [engine.request(task) for task in inputs.tasks()]
    logits = rows.fill(
        0,
        torch.stack([request.source_codes for request in requests]),
        torch.stack([request.text for request in requests]),
    )
    seeds = torch.tensor(inputs.seeds, device=rows.device)[:, None]
    return sample(logits[:, None], seeds, 0, sampling)


def _step(rows: TimedRows, code: Tensor, place: int, seeds: Tensor) -> Tensor:
    """One step of the sequential strategy; (B, 1) codes."""
    drawn = rows.draw(code, [place] * len(code), seeds)
    # The engine's loop lives on the host.
    return drawn.cpu().to(code.device)


def _some(inputs: Inputs, count: int) -> Inputs:
    return Inputs(
        pixels=inputs.pixels[:count],
        instructions=inputs.instructions[:count],
        seeds=inputs.seeds[:count],
    )


@contextmanager
def memory_permitting(say: Callable[[str], None]) -> Iterator[None]:
    """Leave out what does not fit, and say so."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        say("left out: memory ran out")
