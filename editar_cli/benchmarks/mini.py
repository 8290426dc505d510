"""`bench mini`: a model judged on photographs it never saw, by the project's own synthesis.

Every effect of `editar_cli.synthesis` makes the true edit of a photograph. The model edits the same
photograph from a sentence, and what counts is how much nearer to the truth its output lies than the
unedited source does: ratio = distance(output, truth) / distance(source, truth), 0 for a perfect
edit and 1 for doing nothing. Nothing has to be downloaded.

The distance of two pictures (`distance`) has two parts, both blind to detail that no two
draws of an effect share:

- colour: both are reduced to 1/16 of their size by area averaging of sRGB values, taken to CIE Lab
  (D65), and the Euclidean difference (CIE76 delta E) is averaged over all cells;
- gradient energy: at 1/1, 1/2 and 1/4 scale, in each cell of a 4 x 4 grid, log(0.5 + mean gradient
  magnitude of L*), L* in [0, 100] and differences per pixel; the absolute difference is averaged
  over the 48 numbers.

distance = colour + GRADIENT_WEIGHT * gradient energy. Measured on 9 photographs at 512 px, the
weight makes both parts of source and truth equally large (23 delta E) in the median of those 15
effects that change gradients by more than a factor of e^0.2, such as fog, snow, night, contrast and
blur. For the 15 others, colour effects, the second part is far the smaller: 6 against 32.

Of a restoration the photograph is the truth and the damaged picture its source. Edits of a part of
the picture are judged apart (`editar_cli.benchmarks.local`); those of single things need cut-outs.
Where a sentence asks for nothing, or for something that does not apply, the source is the truth.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from editar_cli.benchmarks.local import LocalFamily, LocalRow, judge_local, summarise_local
from editar_cli.engine import image_seed
from editar_cli.errors import EditarError, ImageError, UsageError
from editar_cli.images import Source
from editar_cli.modes.canny import canny_map
from editar_cli.pipeline import NO_MEMORY, Asked, Maker, make_each
from editar_cli.synthesis import EFFECTS, Pair, Photo, effect_names, make_pair
from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import LOCAL_EFFECTS, local_names, make_local_pair

Array = NDArray[np.float32]

GRADIENT_WEIGHT = 60.0
"""Distance per unit of mean absolute log gradient energy difference, in delta E."""

GRADIENT_FLOOR = 0.5
"""Added to gradient magnitudes before the logarithm: weaker ones are not seen."""

CELL = 16
"""Pixels per side of a colour cell."""

OCTAVES = 3
GRID = 4

LEAST_SIDE = 2 ** (OCTAVES - 1) * GRID
"""The short side in pixels below which a picture has cells of no pixel."""

VISIBLE = 3.0
"""Delta E above which a pixel counts as visibly changed."""

LEAST_CHANGE = 2.0
"""A truth nearer to its source than this leaves nothing to judge: a grey photograph made grey."""

MEDIAN_BAR = 0.7
SINGLE_BAR = 0.9
SHARE_BAR = 0.8

EDGE_SIDE = 256
"""Long side in pixels at which edges are compared."""


@dataclass(frozen=True)
class Signature:
    """What a picture's distance to others depends on: Lab cells (h, w, 3), log energies (3, 4, 4).

    Both float32.
    """

    colour: Array
    energy: Array


@dataclass(frozen=True)
class Distance:
    """The two parts of a distance, both in delta E."""

    colour: float
    gradient: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.colour + self.gradient


def signature(picture: Photo) -> Signature:
    """The signature of an HWC uint8 RGB picture, at least 16 px on its short side."""
    import cv2

    height, width = picture.shape[:2]
    assert min(height, width) >= LEAST_SIDE, picture.shape
    unit = _unit(picture)
    cells = cv2.resize(
        unit,
        (max(1, round(width / CELL)), max(1, round(height / CELL))),
        interpolation=cv2.INTER_AREA,
    )
    light = _lab(unit)[..., 0]
    bands = []
    for octave in range(OCTAVES):
        size = (width >> octave, height >> octave)
        scaled = np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)
        # The last row and column have no successor and count as flat.
        across = np.diff(scaled, axis=1, append=scaled[:, -1:])
        down = np.diff(scaled, axis=0, append=scaled[-1:])
        bands.append(_grid_means(np.hypot(across, down)))
    energy = np.log(np.float32(GRADIENT_FLOOR) + np.stack(bands))
    return Signature(_lab(np.asarray(cells, np.float32)), energy.astype(np.float32))


def _unit(picture: Photo) -> Array:
    return (picture / np.float32(255)).astype(np.float32)


def _lab(picture: Array) -> Array:
    """HWC sRGB in [0, 1] -> CIE Lab, L in [0, 100]."""
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), np.float32)


def _grid_means(values: Array) -> Array:
    """(H, W) -> means over a GRID x GRID split of it."""
    rows = np.array_split(values, GRID, axis=0)
    means = [[cell.mean() for cell in np.array_split(row, GRID, axis=1)] for row in rows]
    return np.array(means, np.float32)


def distance(first: Signature, second: Signature) -> Distance:
    """How far apart two pictures of one size are; see the module's description."""
    colour = np.linalg.norm(first.colour - second.colour, axis=2).mean()
    gradient = np.abs(first.energy - second.energy).mean()
    return Distance(float(colour), GRADIENT_WEIGHT * float(gradient))


def nearest(picture: Signature, truths: Sequence[Signature]) -> Distance:
    """The distance to the nearest of several truths."""
    return min((distance(picture, truth) for truth in truths), key=lambda found: found.total)


def changed_share(first: Photo, second: Photo) -> float:
    """The share of pixels, in [0, 1], that differ by more than `VISIBLE` delta E."""
    both = [_lab(_unit(picture)) for picture in (first, second)]
    return float((np.linalg.norm(both[0] - both[1], axis=2) > VISIBLE).mean())


def edge_agreement(first: Photo, second: Photo) -> float:
    """F1 of Canny edges (thresholds 100 and 200) at 256 px, found within one pixel of each other.

    Both HWC uint8 RGB of one size. 1 where neither has edges, 0 where only one has.
    """
    import cv2

    edges = []
    for picture in (first, second):
        height, width = picture.shape[:2]
        scale = min(1.0, EDGE_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        edges.append(canny_map(np.asarray(small, np.uint8))[..., 0] > 0)
    if not edges[0].any() or not edges[1].any():
        return float(edges[0].any() == edges[1].any())
    near = [cv2.dilate(e.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for e in edges]
    precision = float(near[0][edges[1]].mean())
    recall = float(near[1][edges[0]].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def all_families(*, cutouts: bool) -> tuple[str, ...]:
    """The names of all families that can be judged, with or without cut-outs."""
    return (*effect_names(), *local_names(cutouts=cutouts))


def kind_of(family: str) -> str:
    """The kind of a family of either sort."""
    return EFFECTS[family].kind if family in EFFECTS else LOCAL_EFFECTS[family].kind


@dataclass(frozen=True, kw_only=True)
class MiniSettings:
    """What is asked of the model.

    Args:
        families: effects by name, those made with cut-outs among them where there are any.
        wording: sentences kept out of training, or those it was trained on.
        seed: draws sentences, truths and codes.
        truth_draws: truths per photograph where an effect is random; the nearest counts.

    Raises:
        UsageError: a family is not known or named twice, or a number is out of range.
    """

    families: tuple[str, ...] = field(default_factory=lambda: all_families(cutouts=False))
    wording: Literal["held-out", "training"] = "held-out"
    seed: int = 0
    truth_draws: int = 4

    def __post_init__(self) -> None:
        known = (*EFFECTS, *LOCAL_EFFECTS)
        unknown = [name for name in self.families if name not in known]
        if unknown or not self.families:
            raise UsageError(
                f"families {', '.join(unknown) or 'none'}: there are {', '.join(known)}"
            )
        if len(set(self.families)) < len(self.families):
            raise UsageError(f"families {', '.join(self.families)}: one is named twice")
        if self.wording not in ("held-out", "training"):
            raise UsageError(f"wording {self.wording}: must be held-out or training")
        if self.truth_draws < 1:
            raise UsageError(f"truth draws {self.truth_draws}: must be at least 1")

    @property
    def pasted(self) -> list[str]:
        """Those of the families that need cut-outs."""
        return [
            name
            for name in self.families
            if name in LOCAL_EFFECTS and LOCAL_EFFECTS[name].needs_cutouts
        ]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One photograph edited in one way.

    Args:
        photo: its name.
        family: the effect.
        instruction: the sentence.
        seed: of the codes.
        source_colour, source_gradient: the source's distance to the nearest truth.
        output_colour, output_gradient: the output's; for the identity its distance to the source.
        ratio: of the two distances; `None` where there is nothing to judge by it: for the identity,
            and where the source is the truth already.
        edges: edge agreement of output and source, `None` where edges are not meant to stay.
        truth_edges: the same of the first truth and the source: what a perfect edit has.
        changed: share of visibly changed pixels, for the identity only.
    """

    photo: str
    family: str
    instruction: str
    seed: int
    source_colour: float
    source_gradient: float
    output_colour: float
    output_gradient: float
    ratio: float | None
    edges: float | None
    truth_edges: float | None
    changed: float | None


@dataclass(frozen=True, kw_only=True)
class FamilyResult:
    """One effect over all photographs; figures are `None` where no photograph gives them.

    Args:
        family: the effect.
        photos: how many were judged.
        left_out: how many were not, because the source is the truth already.
        median_ratio: of their ratios.
        share_below: share of them with a ratio below 0.9.
        counts: the median is at most 0.7 and the share at least 0.8; `None` for the identity.
        edges, truth_edges: medians of edge agreement with the source: the outputs', the truths'.
        mean_distance: of output and source, for the identity only.
        changed: mean share of visibly changed pixels, for the identity only.
    """

    family: str
    photos: int
    left_out: int
    median_ratio: float | None
    share_below: float | None
    counts: bool | None
    edges: float | None
    truth_edges: float | None
    mean_distance: float | None
    changed: float | None


@dataclass(frozen=True, kw_only=True)
class MiniResult:
    """All rows, their families in the settings' order, and the pictures of the sheet.

    Local edits have rows and families of their own, but for those that leave the picture alone.
    A local edit is missing where the photograph has no part that it could change. `sheet` has for
    each family the sources, truths and outputs of a few photographs.
    """

    rows: list[Row]
    families: list[FamilyResult]
    sheet: dict[str, list[tuple[Photo, Photo, Photo]]]
    local_rows: list[LocalRow] = field(default_factory=list)
    local_families: list[LocalFamily] = field(default_factory=list)

    @property
    def judged(self) -> list[FamilyResult]:
        """The families a ratio is asked of: all but the identity."""
        return [family for family in self.families if family.counts is not None]

    @property
    def counted(self) -> list[str]:
        """The names of the families that count."""
        return [family.family for family in self.families if family.counts]


@dataclass(frozen=True)
class _Task:
    """One edit to be made, and what judges its output."""

    name: str
    pair: Pair
    seed: int
    judge: Callable[[Photo], Row | LocalRow]


def run_mini(
    photos: Mapping[str, Photo],
    editor: Maker[Any, Any],
    settings: MiniSettings,
    *,
    slots: int,
    cutouts: Cutouts | None = None,
    sheet_photos: int = 4,
    on_progress: Callable[[float, str], None] | None = None,
) -> MiniResult:
    """Edit every photograph in every way and judge the outputs.

    Args:
        photos: name -> HWC uint8 RGB, at least 16 px on the short side.
        editor: gives each output at its source's size.
        settings: what is asked.
        slots: pictures edited at once; halved where memory runs out.
        cutouts: what local families are made with.
        sheet_photos: how many photographs, evenly spaced, leave their pictures for the sheet.
        on_progress: told how many edits are done, fractions included, and what is going on.

    Raises:
        UsageError: a photograph is too small, or a local family has no cut-outs.
        EditarError: memory ran out with one picture at a time.
    """
    for name, photo in photos.items():
        if min(photo.shape[:2]) < LEAST_SIDE:
            raise UsageError(f"{name}: its short side is under {LEAST_SIDE} px; leave it out")
    if settings.pasted and cutouts is None:
        raise UsageError(f"families {', '.join(settings.pasted)}: need cut-outs")
    shown = spaced(list(photos), sheet_photos)
    total = len(photos) * len(settings.families)
    waiting: dict[int, _Task] = {}
    found: dict[int, Row | LocalRow] = {}
    pictures: dict[str, dict[int, tuple[Photo, Photo, Photo]]] = {}
    drawn = 0.0

    def asked() -> Iterator[Asked]:
        for number, task in enumerate(_tasks(photos, settings, editor, cutouts)):
            waiting[number] = task
            source = Source(name=task.name, pixels=task.pair.source)
            yield Asked(source=source, text=task.pair.instruction, seed=task.seed)

    def on_drawn(count: float) -> None:
        nonlocal drawn
        drawn += count
        if on_progress is not None:
            on_progress(min(drawn, total), "editing")

    try:
        for number, made in make_each(editor, asked(), slots=slots, on_drawn=on_drawn):
            if isinstance(made, ImageError):
                raise made
            task = waiting.pop(number)
            found[number] = task.judge(made.pixels)
            if task.name in shown:
                triple = (task.pair.source, task.pair.edited, made.pixels)
                pictures.setdefault(task.pair.effect, {})[number] = triple
    except MemoryError as error:
        raise EditarError(NO_MEMORY) from error
    in_order = [row for _, row in sorted(found.items())]
    rows = [row for row in in_order if isinstance(row, Row)]
    local_rows = [row for row in in_order if isinstance(row, LocalRow)]
    sheet = {
        name: [triple for _, triple in sorted(pictures.get(name, {}).items())]
        for name in settings.families
    }
    return MiniResult(
        rows=rows,
        families=[
            summarise(name, [r for r in rows if r.family == name])
            for name in settings.families
            if name in EFFECTS or kind_of(name) == "identity"
        ],
        sheet=sheet,
        local_rows=local_rows,
        local_families=[
            summarise_local(name, own)
            for name in settings.families
            if (own := [r for r in local_rows if r.family == name])
        ],
    )


def spaced(names: Sequence[str], count: int) -> list[str]:
    """At most ``count`` of the names, evenly spaced."""
    count = min(count, len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _tasks(
    photos: Mapping[str, Photo],
    settings: MiniSettings,
    editor: Maker[Any, Any],
    cutouts: Cutouts | None,
) -> Iterator[_Task]:
    held_out = settings.wording == "held-out"
    for name, photo in photos.items():
        for family in settings.families:
            seed = editor.picture_seed(f"{family}/{name}")
            if family in LOCAL_EFFECTS:
                pair = make_local_pair(
                    photo,
                    family,
                    cutouts,
                    seed=image_seed(settings.seed, f"truth 0/{name}"),
                    held_out_wording=held_out,
                )
                if pair is None:
                    continue
                if kind_of(family) == "identity":
                    own = signature(pair.source)
                    yield _Task(name, pair, seed, partial(_judge, name, pair, seed, own, [own]))
                else:
                    yield _Task(name, pair, seed, partial(judge_local, name, pair, seed))
                continue
            draws = settings.truth_draws if EFFECTS[family].random else 1
            pairs = [
                make_pair(
                    photo,
                    family,
                    seed=image_seed(settings.seed, f"truth {draw}/{name}"),
                    held_out_wording=held_out,
                )
                for draw in range(draws)
            ]
            source = signature(pairs[0].source)
            truths = [signature(pair.edited) for pair in pairs]
            judge = partial(_judge, name, pairs[0], seed, source, truths)
            yield _Task(name, pairs[0], seed, judge)


def _judge(
    name: str, pair: Pair, seed: int, unedited: Signature, truths: list[Signature], output: Photo
) -> Row:
    before = nearest(unedited, truths)
    after = nearest(signature(output), truths)
    identity = kind_of(pair.effect) == "identity"
    edges = pair.effect not in EFFECTS or EFFECTS[pair.effect].keeps_edges
    judged = not identity and before.total >= LEAST_CHANGE
    source, truth = pair.source, pair.edited
    return Row(
        photo=name,
        family=pair.effect,
        instruction=pair.instruction,
        seed=seed,
        source_colour=before.colour,
        source_gradient=before.gradient,
        output_colour=after.colour,
        output_gradient=after.gradient,
        ratio=after.total / before.total if judged else None,
        edges=edge_agreement(output, source) if edges else None,
        truth_edges=edge_agreement(truth, source) if edges else None,
        changed=changed_share(output, source) if identity else None,
    )


def summarise(family: str, rows: Sequence[Row]) -> FamilyResult:
    """The figures of one effect over its rows."""
    identity = kind_of(family) == "identity"
    ratios = [row.ratio for row in rows if row.ratio is not None]
    median = _median(ratios)
    below = float(np.mean([ratio < SINGLE_BAR for ratio in ratios])) if ratios else None
    counts = median is not None and median <= MEDIAN_BAR and (below or 0) >= SHARE_BAR
    changes = [row.changed for row in rows if row.changed is not None]
    distances = [row.output_colour + row.output_gradient for row in rows]
    return FamilyResult(
        family=family,
        photos=len(rows) if identity else len(ratios),
        left_out=0 if identity else len(rows) - len(ratios),
        median_ratio=median,
        share_below=below,
        counts=None if identity else counts,
        edges=_median([row.edges for row in rows if row.edges is not None]),
        truth_edges=_median([row.truth_edges for row in rows if row.truth_edges is not None]),
        mean_distance=float(np.mean(distances)) if identity and distances else None,
        changed=float(np.mean(changes)) if changes else None,
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
