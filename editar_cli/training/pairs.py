"""Synthetic pairs of the editor stage, tokenized once before the first step.

Encoding is most of the cost of a small run, so every pair is reduced to two rows of codes and the
number of its instruction; the photographs are not touched again.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from editar_cli.errors import TrainingError
from editar_cli.models.vq import VQTokenizer
from editar_cli.modes import canny, depth, hed, segmentation
from editar_cli.modes._mode import Extract, Extractor, ExtractorSettings
from editar_cli.synthesis import EFFECTS, Mask, Pair, make_pair
from editar_cli.synthesis.cutouts import Cutout, Cutouts
from editar_cli.synthesis.local import LOCAL_EFFECTS, make_local_pair
from editar_cli.training.loop import leave_signals
from editar_cli.training.photos import load_photo
from editar_cli.training.recipe import EditorRecipe

Picture = NDArray[np.uint8]

LOADED_SIDE = 400
SCENE_SHARE = 0.25  # of depth pairs, where photographs' depth is at hand too
HED_SHARE = 0.25  # of translated views: its network is the slowest extractor
HED_SIDE = 256
VIEW_SCALE = 2  # effects are made at this multiple of the model's size, as they are on large photos
LOCAL_TRIES = 16  # families drawn for a view before it goes with an edit less
LONGEST_VIEW = 3.0  # times its short side, of a view that is not squashed yet


@dataclass(frozen=True)
class Sample:
    """One source with several edits of it, all HWC uint8 RGB at the model's size.

    Local edits and restorations have a source each. `masks` (HW bool) says where a target may
    differ from its source; `None` is everywhere.
    """

    sources: list[Picture] = field(default_factory=list)
    targets: list[Picture] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    masks: list[Mask | None] = field(default_factory=list)


@dataclass(frozen=True)
class TokenizedPairs:
    """(N, S) int32 source and target codes, and for each pair its instruction and family.

    `pixels` are the target pictures, (N, 3, H, W) uint8, where a teacher is to see them.
    """

    sources: Tensor
    targets: Tensor
    instructions: list[str]
    families: list[str]
    pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def rows(self, chosen: NDArray[np.int64]) -> "TokenizedPairs":
        """The pairs with the numbers ``chosen``, in that order."""
        index = torch.from_numpy(chosen)
        return TokenizedPairs(
            self.sources[index],
            self.targets[index],
            [self.instructions[i] for i in chosen],
            [self.families[i] for i in chosen],
            None if self.pixels is None else self.pixels[index],
        )


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a run takes from one set of pairs.

    Args:
        name: the set.
        where: file, folder or repository.
        share: of the samples, [0, 1].
        samples: in the whole run.
        rows: pairs that are trained on; ``None`` where nobody knows.
    """

    name: str
    where: str
    share: float
    samples: int
    rows: int | None


class PairSource(Protocol):
    """Where the pairs of a run come from.

    Every batch is a function of seed and step, with ``state`` at hand where that takes looking up.
    """

    kept: TokenizedPairs
    """Pairs that are validated on, and never trained on."""

    def batches(self, first_step: int) -> Iterator[TokenizedPairs]:
        """One batch per optimiser step from ``first_step`` on."""

    def shares(self) -> list[Share]:
        """Where the samples of the whole run come from."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to go on behind the last batch: plain values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""


class PairDataset(Dataset[Sample]):
    """View number i of the photographs and its edits: a function of (seed, i) alone."""

    def __init__(
        self,
        recipe: EditorRecipe,
        photos: Sequence[Path],
        captions: dict[str, str],
        scenes: Sequence[Path],
        *,
        seed: int,
        views: int,
        held_out_wording: bool,
        cutouts: Cutouts | None = None,
    ) -> None:
        if recipe.local_share and cutouts is None:
            raise TrainingError(
                f"local_share {recipe.local_share} needs cut-outs: a folder cutouts/ with "
                "cutouts.tsv beside photos/; set it to 0 to train without"
            )
        self.recipe = recipe
        self.cutouts = cutouts
        self.photos = [load_photo(path, LOADED_SIDE) for path in photos]
        self.captions = [captions.get(path.name, "") for path in photos]
        self.scenes = scenes
        self.seed = seed
        self.views = views
        self.held_out_wording = held_out_wording
        self.families = list(EFFECTS)
        self.cumulative = _cumulative(recipe, self.families)
        self.local_families = list(LOCAL_EFFECTS)
        self.local_cumulative = _cumulative(recipe, self.local_families)
        self._load_extractors()

    def _load_extractors(self) -> None:
        self.depth = _extractor(depth.MODE.extractor("small"), self.recipe.depth_network)
        self.hed = _extractor(hed.MODE.extractor("hed"), self.recipe.hed_network, HED_SIDE)

    def __getstate__(self) -> dict[str, Any]:
        # Extractors cannot be pickled, as they must be where workers are spawned and not forked.
        return {k: v for k, v in vars(self).items() if k not in ("depth", "hed")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._load_extractors()

    def __len__(self) -> int:
        return self.views

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        which = int(rng.integers(len(self.photos)))
        kind = rng.random()
        local = self.recipe.map_share <= kind < self.recipe.map_share + self.recipe.local_share
        # A thing stands in a photograph as wide as that is, and is squashed with it.
        view = self._view(self.photos[which], rng, squash=not local)
        if kind < self.recipe.map_share:
            return self._translation(view, self.captions[which], rng)
        sample = Sample()
        for _ in range(self.recipe.edits_per_view):
            pair = self._local_pair(view, rng) if local else self._pair(view, rng)
            if pair is not None:
                mask = self._small_mask(pair.mask) if local else None
                self._add(sample, pair.source, pair.edited, pair.instruction, pair.effect, mask)
        return sample

    def _pair(self, view: Picture, rng: np.random.Generator) -> Pair:
        draw, seed = rng.random(), int(rng.integers(2**31))
        return make_pair(
            view,
            _drawn(self.families, self.cumulative, draw),
            seed=seed,
            held_out_wording=self.held_out_wording,
            varied_wording=not self.held_out_wording,
        )

    def _local_pair(self, view: Picture, rng: np.random.Generator) -> Pair | None:
        """A pair of the first family drawn that the view has something for."""
        for _ in range(LOCAL_TRIES):
            draw, seed = rng.random(), int(rng.integers(2**31))
            pair = make_local_pair(
                view,
                _drawn(self.local_families, self.local_cumulative, draw),
                self.cutouts,
                seed=seed,
                held_out_wording=self.held_out_wording,
                varied_wording=not self.held_out_wording,
            )
            if pair is not None:
                return pair
        return None

    def _translation(self, view: Picture, caption: str, rng: np.random.Generator) -> Sample:
        """The maps of one picture as the extractors make them, each with the picture as target."""
        sample = Sample()
        caption = caption if rng.random() < 0.5 else ""
        small = self._small(view)
        self._add(sample, canny.canny_map(small), small, canny.PROMPT + caption, "canny")
        # Nearest, not area: a map of flat colours must not get blended ones.
        regions = segmentation.region_map(view)[1::VIEW_SCALE, 1::VIEW_SCALE]
        self._add(sample, regions, small, segmentation.PROMPT + caption, "segmentation")
        if self.depth is not None and (not self.scenes or rng.random() > SCENE_SHARE):
            self._add(sample, self.depth(view), small, depth.PROMPT + caption, "depth")
        elif self.scenes:
            file = self.scenes[int(rng.integers(len(self.scenes)))]
            near = load_photo(file, LOADED_SIDE)
            scene = load_photo(file.with_name(file.name.replace(".depth.png", ".jpg")), LOADED_SIDE)
            self._add(sample, near, scene, depth.PROMPT, "depth")
        if self.hed is not None and rng.random() < HED_SHARE:
            self._add(sample, self.hed(view), small, hed.PROMPT + caption, "hed")
        return sample

    def _add(
        self,
        sample: Sample,
        source: Picture,
        target: Picture,
        instruction: str,
        family: str,
        mask: Mask | None = None,
    ) -> None:
        sample.sources.append(self._small(source))
        sample.targets.append(self._small(target))
        sample.instructions.append(instruction)
        sample.families.append(family)
        sample.masks.append(mask)

    def _view(self, photo: Picture, rng: np.random.Generator, *, squash: bool) -> Picture:
        """Half of the time the whole frame, else a part of it; flipped, squashed to a square."""
        import cv2

        height, width = photo.shape[:2]
        if rng.random() < 0.5:
            cut_height, cut_width = (round(s * rng.uniform(0.55, 1)) for s in (height, width))
            top = rng.integers(height - cut_height + 1)
            left = rng.integers(width - cut_width + 1)
            photo = photo[top : top + cut_height, left : left + cut_width]
        side = self.recipe.image_size * VIEW_SCALE
        size = (side, side)
        if not squash:
            scale = side / min(photo.shape[:2])
            size = (
                min(round(photo.shape[1] * scale), round(LONGEST_VIEW * side)),
                min(round(photo.shape[0] * scale), round(LONGEST_VIEW * side)),
            )
        view = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            view = view[:, ::-1]
        if rng.random() < 0.3:
            # Exposure and white balance of other cameras than those at hand.
            gains = rng.uniform(0.85, 1.15, 3) * rng.uniform(0.75, 1.15)
            view = np.clip(view * gains, 0, 255)
        return np.ascontiguousarray(view, np.uint8)

    def _small(self, picture: Picture) -> Picture:
        import cv2

        size = self.recipe.image_size
        if picture.shape[:2] == (size, size):
            return picture
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)

    def _small_mask(self, mask: Mask) -> Mask:
        """True wherever a small pixel has a part of the mask."""
        import cv2

        size = self.recipe.image_size
        parts = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(parts > 0, np.bool_)


def _cumulative(recipe: EditorRecipe, names: Sequence[str]) -> NDArray[np.float64]:
    """Running sums of the families' shares."""
    weights = np.array([recipe.family_weights.get(name, 1.0) for name in names])
    return np.cumsum(weights / max(weights.sum(), 1e-9))


def _drawn(names: Sequence[str], cumulative: NDArray[np.float64], draw: float) -> str:
    return names[min(int(np.searchsorted(cumulative, draw)), len(names) - 1)]


def _extractor(extractor: Extractor, weights: str, side: int | None = None) -> Extract | None:
    """An extractor with the recipe's weights, or ``None`` where the recipe names none."""
    if not weights:
        return None
    settings = ExtractorSettings(weights=Path(weights), resolution=side)
    return extractor.load(settings)


def read_captions(data: Path) -> dict[str, str]:
    """Captions by file name from ``photos.tsv`` (columns ``file``, ``hint``), if there is one."""
    table = data / "photos.tsv"
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return {row["file"]: row["hint"] for row in rows if row.get("hint")}


@torch.inference_mode()
def tokenize_pairs(
    views: PairDataset,
    tokenizer: VQTokenizer,
    *,
    count: int,
    device: torch.device,
    workers: int,
    cache: Path,
    report: Callable[[int, int], None],
) -> TokenizedPairs:
    """Make ``count`` pairs and encode them, or read them back from ``cache``.

    The cache is keyed by recipe, photographs, captions and tokenizer weights, so that a stale one
    is never used.
    """
    key = _key(views, tokenizer, count)
    if cache.exists() and (cached := _read(cache, key)) is not None:
        return cached
    loader = DataLoader(
        views,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=leave_signals,
    )
    sources: list[Tensor] = []
    targets: list[Tensor] = []
    instructions: list[str] = []
    families: list[str] = []
    done = 0
    for samples in _groups(loader, 8):
        pictures = [p for sample in samples for p in (*sample.sources, *sample.targets)]
        different, places = _distinct(pictures)
        encoded = _encode(tokenizer, different, device)
        codes = iter([encoded[place] for place in places])
        for sample in samples:
            found = [next(codes) for _ in sample.sources]
            sources.extend(found)
            for source, mask in zip(found, sample.masks, strict=True):
                target = next(codes)
                targets.append(target if mask is None else keep_outside(source, target, mask))
            instructions.extend(sample.instructions)
            families.extend(sample.families)
            done += len(sample.targets)
        report(min(done, count), count)
        if done >= count:
            break
    pairs = TokenizedPairs(
        torch.stack(sources)[:count].int(),
        torch.stack(targets)[:count].int(),
        instructions[:count],
        families[:count],
    )
    _write(cache, key, pairs)
    return pairs


def keep_outside(source: Tensor, target: Tensor, mask: Mask) -> Tensor:
    """The target's codes where the edit can be seen in them, else the source's.

    The tokenizer looks at a whole picture at once, so that a change at one end turns a fifth of
    the codes at the other to ones that mean the same. A model cannot know which, and would learn
    to change what the sentence leaves alone.

    Args:
        source, target: (S,) codes of a square grid.
        mask: (H, W) where the pictures may differ; codes next to it count as touched.
    """
    import cv2

    grid = round(len(source) ** 0.5)
    touched = cv2.resize(mask.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA) > 0
    grown = cv2.dilate(touched.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return torch.where(torch.from_numpy(grown.reshape(-1)), target, source)


def _groups(samples: DataLoader[Sample], size: int) -> Iterator[list[Sample]]:
    group: list[Sample] = []
    for sample in samples:
        group.append(sample)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _distinct(pictures: list[Picture]) -> tuple[list[Picture], list[int]]:
    """The pictures without repetitions, and for each the place of its like among them.

    Edits of a view share their source, and those that change nothing have it as their target.
    """
    found: dict[bytes, int] = {}
    different: list[Picture] = []
    places: list[int] = []
    for picture in pictures:
        key = picture.tobytes()
        if key not in found:
            found[key] = len(different)
            different.append(picture)
        places.append(found[key])
    return different, places


def _encode(tokenizer: VQTokenizer, pictures: list[Picture], device: torch.device) -> list[Tensor]:
    codes: list[Tensor] = []
    for start in range(0, len(pictures), 16):
        pixels = torch.from_numpy(np.stack(pictures[start : start + 16])).to(device)
        found = tokenizer.encode(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        codes.extend(found.flatten(1).cpu())
    return codes


def _key(views: PairDataset, tokenizer: VQTokenizer, count: int) -> str:
    recipe = views.recipe
    digest = hashlib.blake2b(digest_size=16)
    digest.update(
        json.dumps(
            [
                recipe.image_size,
                recipe.edits_per_view,
                recipe.map_share,
                recipe.local_share,
                recipe.depth_network,
                recipe.hed_network,
                recipe.family_weights,
                views.families,
                views.local_families,
                views.seed,
                views.held_out_wording,
                count,
                views.captions,
                [[scene.name, scene.stat().st_size] for scene in views.scenes],
            ]
        ).encode()
    )
    for photo in views.photos:
        digest.update(str(photo.shape).encode() + photo.tobytes())
    if recipe.local_share and views.cutouts is not None:
        for cutout in (*views.cutouts.shown, None, *views.cutouts.drawn):
            digest.update(_description(cutout))
    for value in tokenizer.state_dict().values():
        digest.update(value.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _description(cutout: Cutout | None) -> bytes:
    if cutout is None:
        return b"-"
    facts = [cutout.noun, cutout.plural, cutout.airborne, cutout.weight, cutout.picture.shape]
    return json.dumps(facts).encode() + cutout.picture.tobytes()


def _write(cache: Path, key: str, pairs: TokenizedPairs) -> None:
    text = json.dumps({"instructions": pairs.instructions, "families": pairs.families})
    save_file(
        {"sources": pairs.sources, "targets": pairs.targets}, cache, {"key": key, "text": text}
    )


def _read(cache: Path, key: str) -> TokenizedPairs | None:
    with safe_open(cache, "pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("key") != key:
            return None
        text = json.loads(metadata["text"])
        return TokenizedPairs(
            file.get_tensor("sources"),
            file.get_tensor("targets"),
            text["instructions"],
            text["families"],
        )
