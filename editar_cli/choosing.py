"""Several candidates per picture, of which the best is kept: ``--best-of``.

``BestOf`` is a ``Maker`` around an ``EditSession``. A scorer says how good each candidate is:

- ``ClipScorer`` by a CLIP network: the directional similarity (StyleGAN-NADA, arXiv 2108.00946,
  equation 2) by which InstructPix2Pix (arXiv 2211.09800, section 3.1) chose its training pairs
  among candidates. An instruction is no caption, so the direction in text goes from "a photo" to
  the instruction.
- ``OwnScorer`` by what the model itself says of its codes: their likelihood, or by how much the
  instruction raised it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from editar_cli import images
from editar_cli.editor import Drawn, EditSession, Prepared
from editar_cli.engine import image_seed
from editar_cli.errors import ModelError, UsageError
from editar_cli.pipeline import Asked, Made

if TYPE_CHECKING:
    from torch import Tensor

    from editar_cli.metrics.clip import ClipScore

ScorerName = Literal["auto", "clip", "ratio", "likelihood"]

CLIP_NETWORKS = ("openai/clip-vit-large-patch14", "openai/clip-vit-base-patch32")
"""Looked for in the hub's cache, in this order."""
NEUTRAL_TEXT = "a photo"
INSTALL = 'pip install "editar[bench]"'


class Scorer(Protocol):
    """Says how good candidates are; may be called by several threads at once."""

    @property
    def name(self) -> str:
        """As ``--scorer`` has it."""

    @property
    def own(self) -> bool:
        """Whether it needs the model's own scores."""

    def __call__(self, prepared: Prepared, drawn: Sequence[Drawn]) -> list[float]:
        """One number for each candidate of a picture; more is better."""


@dataclass(frozen=True)
class OwnScorer:
    """The model's own mean per code: ``likelihood``, or ``ratio`` (``decoder.Score``)."""

    name: Literal["likelihood", "ratio"]
    own: bool = True

    def __call__(self, prepared: Prepared, drawn: Sequence[Drawn]) -> list[float]:
        """As ``Scorer``; all 0 where the model had no code to decide."""
        found = []
        for one in drawn:
            value = None if one.score is None else getattr(one.score, self.name)
            found.append(0.0 if value is None else float(value))
        return found


class ClipScorer:
    """Cosine between the step from source to result and that from "a photo" to the instruction.

    Both pictures are as the tokenizer leaves them, at the model's size, so its losses do not count.

    Args:
        clip: the network.
    """

    name = "clip"
    own = False

    def __init__(self, clip: "ClipScore") -> None:
        self._clip = clip
        # Networks are not made for several threads.
        self._using = threading.Lock()
        self._neutral: Tensor | None = None

    def __call__(self, prepared: Prepared, drawn: Sequence[Drawn]) -> list[float]:
        """As ``Scorer``, in [-1, 1]; 0 where nothing changed."""
        from torch.nn.functional import cosine_similarity

        with self._using:
            if self._neutral is None:
                self._neutral = self._clip.text(NEUTRAL_TEXT)
            asked = self._clip.text(prepared.prompt) - self._neutral
            source = drawn[0].before
            assert source is not None
            before = self._clip.image(images.to_pixels(source))
            steps = [self._clip.image(images.to_pixels(one.after)) - before for one in drawn]
            return [float(cosine_similarity(step, asked, dim=0)) for step in steps]


def load_scorer(
    name: ScorerName, *, weights: Path | None = None, device: str = "cpu", guided: bool = True
) -> Scorer:
    """The scorer that a person asked for. Nothing is downloaded.

    Args:
        name: ``auto`` is ``clip`` where its weights are here, else what the model itself says.
        weights: a folder with a CLIP network as transformers saves it.
        device: where CLIP runs.
        guided: whether the model is run with guidance, which ``ratio`` needs.

    Raises:
        ModelError: CLIP was asked for and is not here; says what brings it.
        UsageError: two settings contradict each other.
    """
    if weights is not None and name not in ("auto", "clip"):
        raise UsageError(f"--scorer-weights and --scorer {name}: only clip has weights")
    if name == "ratio" and not guided:
        raise UsageError("--scorer ratio and --guidance 1: without guidance nothing is compared")
    if name in ("auto", "clip"):
        found = str(weights) if weights is not None else _cached_clip()
        if found is not None:
            return ClipScorer(_load_clip(found, device))
        if name == "clip":
            raise ModelError(
                "--scorer clip: no CLIP network is on this machine; "
                f"run {INSTALL} and hf download {CLIP_NETWORKS[0]}, or give --scorer-weights FOLDER"
            )
    if name == "likelihood" or not guided:
        return OwnScorer("likelihood")
    return OwnScorer("ratio")


def _cached_clip() -> str | None:
    """A CLIP network in the hub's cache that can be run here, or ``None``."""
    from importlib.util import find_spec

    from huggingface_hub import try_to_load_from_cache

    if find_spec("transformers") is None:
        return None
    for name in CLIP_NETWORKS:
        for file in ("model.safetensors", "pytorch_model.bin"):
            if isinstance(try_to_load_from_cache(name, file), str):
                return name
    return None


def _load_clip(name: str, device: str) -> "ClipScore":
    import contextlib
    import io

    from editar_cli.metrics._weights import MetricMissing
    from editar_cli.metrics.clip import ClipScore

    try:
        # Its bars and remarks are not ours.
        with contextlib.redirect_stderr(io.StringIO()):
            return ClipScore(name, device, local_only=True)
    except MetricMissing as error:
        raise ModelError(f"--scorer clip: {error}") from error


class BestOf:
    """An edit session that draws several candidates of each picture and keeps the best.

    Args:
        session: edits.
        count: candidates, 2 or more.
        scorer: says how good each is.
        at_once: candidates in the model at once, 1 or more.
        keep: give all of them back, finished, and not the best alone.
    """

    def __init__(
        self,
        session: EditSession,
        count: int,
        scorer: Scorer,
        *,
        at_once: int,
        keep: bool = False,
    ) -> None:
        assert count >= 2, count
        self.session = session
        self.count = count
        self.scorer = scorer
        self.at_once = at_once
        self.keep = keep

    @property
    def facts(self) -> Mapping[str, object]:
        """Model and settings, for the note in each output."""
        return {**self.session.facts, "best_of": self.count, "scorer": self.scorer.name}

    def picture_seed(self, key: str, seed: int | None = None) -> int:
        """As the session has it."""
        return self.session.picture_seed(key, seed)

    def prepare(self, asked: Asked) -> tuple[Prepared, ...]:
        """The candidates; the first is what the session alone would make."""
        first, own = self.session.prepare(asked), self.scorer.own
        # Whoever looks at pictures compares the result with the source.
        first = replace(first, scored=own, with_source=first.with_source or not own)
        return self._candidates(first, asked.seed)

    def vary(self, prepared: tuple[Prepared, ...], seed: int) -> tuple[Prepared, ...]:
        """Candidates with other seeds."""
        return self._candidates(self.session.vary(prepared[0], seed), seed)

    def stream(
        self,
        prepared: Iterable[tuple[Prepared, ...]],
        *,
        slots: int,
        on_drawn: Callable[[float], None] = lambda pictures: None,
        on_fewer_slots: Callable[[int], None] = lambda slots: None,
    ) -> Iterator[tuple[int, tuple[Drawn, ...]]]:
        """As ``Maker.stream``; the candidates of a picture are pictures of the model."""

        def fewer(rows: int) -> None:
            self.at_once = rows
            on_fewer_slots(-(-rows // self.count))

        waiting: dict[int, dict[int, Drawn]] = {}
        for index, drawn in self.session.stream(
            (candidate for candidates in prepared for candidate in candidates),
            slots=min(self.at_once, slots * self.count),
            on_drawn=lambda pictures: on_drawn(pictures / self.count),
            on_fewer_slots=fewer,
        ):
            picture, candidate = divmod(index, self.count)
            found = waiting.setdefault(picture, {})
            found[candidate] = drawn
            if len(found) == self.count:
                del waiting[picture]
                yield picture, tuple(found[number] for number in range(self.count))

    def finish(self, prepared: tuple[Prepared, ...], result: tuple[Drawn, ...]) -> Made:
        """The best candidate; of equals the first."""
        scores = self.scorer(prepared[0], result)
        best = max(range(self.count), key=lambda number: (scores[number], -number))
        made = self.session.finish(prepared[best], result[best])
        candidates: tuple[Made, ...] = ()
        if self.keep:
            candidates = tuple(
                made if number == best else self.session.finish(prepared[number], result[number])
                for number in range(self.count)
            )
        return replace(
            made,
            candidates=tuple(one.pixels for one in candidates),
            found={"scores": [round(score, 4) for score in scores], "chosen": best + 1},
        )

    def _candidates(self, first: Prepared, seed: int) -> tuple[Prepared, ...]:
        others = (image_seed(seed, f"candidate {number}") for number in range(1, self.count))
        return (first, *(self.session.vary(first, other) for other in others))
