"""Native bundles: one folder with everything a model needs to edit.

::

    config.json              architecture, text encoder, image size, sampling defaults, facts
    transformer.safetensors  float32 or half precision
    tokenizer.safetensors
    text/                    the text encoder, if it is a part of the bundle
    SHA256SUMS               of the files above, in the form of sha256sum
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch

from editar_cli.checkpoints.lora import LoraChoice, with_loras
from editar_cli.checkpoints.registry import SUMS
from editar_cli.checkpoints.registry import resolve_model as resolve_model
from editar_cli.config import SamplingConfig
from editar_cli.embedded import CONFIG
from editar_cli.errors import CheckpointError, UsageError
from editar_cli.geometry import Fit
from editar_cli.models.gpt import EditARTransformer, GPTConfig
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.tensorfiles import (
    LazyTensor,
    check_shapes,
    lazy,
    load_strictly,
    module_shapes,
    read_shapes,
    read_tensors,
    without_weights,
    write_tensors,
)
from editar_cli.text import MiniLMEncoder, T5Encoder, TextEncoder

FORMAT = 1
TRANSFORMER = "transformer.safetensors"
TOKENIZER = "tokenizer.safetensors"
TEXT_KINDS = ("minilm", "t5")
AGAIN = "The bundle is damaged or of another version: get it again."


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text encoder of a bundle.

    Args:
        kind: "minilm" or "t5".
        path: a folder inside the bundle, or for t5 also a folder elsewhere or a hub name.
        text_tokens: positions per prompt.

    Raises:
        ValueError: a value is not allowed.
    """

    kind: str
    path: str
    text_tokens: int

    def __post_init__(self) -> None:
        if self.kind not in TEXT_KINDS:
            raise ValueError(f"text.kind {self.kind}: must be one of {', '.join(TEXT_KINDS)}")
        if self.text_tokens < 2:
            raise ValueError(f"text.text_tokens {self.text_tokens}: must be at least 2")


PUBLISHED_EXTRACTORS = {
    "canny": ["kornia"],
    "depth": ["dpt"],
    "segmentation": ["maskformer"],
}
"""What the published checkpoints' maps are made with, as close as is to be had."""


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """What config.json says.

    Args:
        name: the model's name.
        transformer: architecture of the transformer.
        tokenizer: architecture of the image tokenizer.
        text: its text encoder.
        image_size: side of the square the model sees, grid times downsampling.
        fit: how a picture becomes that square, see :class:`editar_cli.geometry.Fit`.
        sampling: the model's own sampling defaults.
        translation: what ``translate`` samples with where it differs from ``sampling``.
        extractors: for each mode of ``translate`` that it was trained on, the names of the map
            extractors that suit it, the best first; the last one is what it was trained with.
        training: free facts for people: data, compute, sources.

    Raises:
        ValueError: parts do not fit together.
    """

    name: str
    transformer: GPTConfig
    tokenizer: VQConfig
    text: TextConfig
    image_size: int
    fit: str = Fit.STRETCH.value
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    translation: Mapping[str, Any] = field(default_factory=dict)
    extractors: Mapping[str, Any] = field(default_factory=lambda: dict(PUBLISHED_EXTRACTORS))
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            replace(self.sampling, **self.translation)
        except TypeError as error:
            raise ValueError(f"translation: {error}") from error
        for mode, names in self.extractors.items():
            if not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
                raise ValueError(f"extractors.{mode} {names}: must be a list of extractor names")
        if self.fit not in tuple(Fit):
            raise ValueError(f"fit {self.fit}: must be one of {', '.join(Fit)}")
        side = self.transformer.grid * self.tokenizer.downsampling
        if self.image_size != side:
            raise ValueError(
                f"image_size {self.image_size}: a grid of {self.transformer.grid} codes of "
                f"{self.tokenizer.downsampling} px makes {side}"
            )
        if self.text.text_tokens != self.transformer.text_tokens:
            raise ValueError(
                f"text.text_tokens {self.text.text_tokens}: the transformer has "
                f"{self.transformer.text_tokens} text positions"
            )
        if self.tokenizer.codebook_size != self.transformer.vocab_size:
            raise ValueError(
                f"tokenizer.codebook_size {self.tokenizer.codebook_size}: the transformer knows "
                f"{self.transformer.vocab_size} codes"
            )

    def to_json(self) -> str:
        """The text of config.json."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, file: Path) -> "BundleConfig":
        """Read config.json strictly.

        Args:
            text: its content.
            file: named in messages.

        Raises:
            CheckpointError: no JSON, unknown or missing keys, or values of the wrong kind.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise CheckpointError(f"{file}: not JSON ({error}). {AGAIN}") from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else None
            raise CheckpointError(
                f"{file}: format {found}, this version of editar reads {FORMAT}; update editar, or "
                "convert the model again"
            )
        del raw["format"]
        try:
            config: BundleConfig = _build(cls, raw, "")
        except (ValueError, UsageError) as error:
            raise CheckpointError(f"{file}: {error}. {AGAIN}") from error
        return config


def _build(cls: type[Any], raw: object, where: str) -> Any:
    """A configuration dataclass from a JSON object; ValueError names the offending key."""
    if not isinstance(raw, dict):
        raise ValueError(f"{where.rstrip('.') or 'the file'} must be a JSON object")
    known = {entry.name: entry for entry in fields(cls)}
    if unknown := sorted(raw.keys() - known.keys()):
        raise ValueError(f"unknown keys: {', '.join(where + key for key in unknown)}")
    needed = {
        name
        for name, entry in known.items()
        if entry.default is MISSING and entry.default_factory is MISSING
    }
    if missing := sorted(needed - raw.keys()):
        raise ValueError(f"missing keys: {', '.join(where + key for key in missing)}")
    hints = get_type_hints(cls)
    return cls(**{key: _value(hints[key], value, where + key) for key, value in raw.items()})


def _value(hint: Any, value: object, where: str) -> object:
    """A JSON value as the annotation wants it; ValueError if it is of another kind."""
    if hasattr(hint, "__dataclass_fields__"):
        return _build(hint, value, f"{where}.")
    allowed = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    for kind in allowed:
        origin = get_origin(kind)
        if kind in (None, NoneType) and value is None:
            return None
        if origin is tuple and isinstance(value, list):
            return tuple(_value(get_args(kind)[0], item, where) for item in value)
        if origin is Mapping and isinstance(value, dict):
            return value
        # bool is an int to Python, but `true` is no number of layers.
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if (
            kind in (int, str, bool)
            and isinstance(value, kind)
            and (kind is bool or not isinstance(value, bool))
        ):
            return value
    raise ValueError(f"{where} is {json.dumps(value)}, must be {hint}")


@dataclass(kw_only=True)
class Bundle:
    """A loaded model.

    Args:
        path: its folder.
        config: its config.json.
        transformer: on the device, in the number format asked for, for evaluation.
        tokenizer: on the device, always float32 (codes are nearest neighbours and would change).
        device: where both are.
        dtype: number format of the transformer.
        loras: adapters that were added to the transformer's weights.
    """

    path: Path
    config: BundleConfig
    transformer: EditARTransformer
    tokenizer: VQTokenizer
    device: torch.device
    dtype: torch.dtype
    loras: Sequence[LoraChoice] = ()

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The text encoder, loaded at first use.

        Raises:
            CheckpointError: it is not on this machine, or gives vectors of another width.
        """
        text = self.config.text
        inside = self.path / text.path
        encoder: TextEncoder
        if text.kind == "minilm":
            encoder = MiniLMEncoder(inside, text_tokens=text.text_tokens)
        else:
            source = inside if inside.is_dir() else text.path
            encoder = T5Encoder(
                source, device=self.device, dtype=self.dtype, text_tokens=text.text_tokens
            )
        if encoder.text_dim != self.config.transformer.text_dim:
            raise CheckpointError(
                f"{self.path}: its text encoder {text.path} gives vectors of "
                f"{encoder.text_dim} numbers, the transformer takes "
                f"{self.config.transformer.text_dim}; convert again with the right --text"
            )
        return encoder


def read_config(path: Path) -> BundleConfig:
    """config.json of a bundle folder.

    Raises:
        CheckpointError: missing or wrong.
    """
    file = path / CONFIG
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder; name a model bundle")
    if not file.is_file():
        raise CheckpointError(f"{path}: no model bundle, {CONFIG} is missing")
    return BundleConfig.from_json(file.read_text(encoding="utf-8"), file)


def load_bundle(
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    loras: Sequence[LoraChoice] = (),
) -> Bundle:
    """Load a bundle for evaluation: no gradients, dropout off.

    Args:
        path: a bundle folder (:func:`resolve_model` finds it by name).
        device: where the transformer and the tokenizer go.
        dtype: number format of the transformer; the tokenizer is float32 always.
        loras: adapters to add to the transformer's weights, in float32 and before anything else.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit the architecture.
    """
    path = Path(path)
    device = torch.device(device)
    config = read_config(path)
    transformer, tokenizer = _empty(config)
    _fill(transformer, path / TRANSFORMER, device, dtype, loras)
    transformer.turns = transformer.turns.to(device)
    _fill(tokenizer, path / TOKENIZER, device, torch.float32)
    return Bundle(
        path=path,
        config=config,
        transformer=transformer,
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        loras=tuple(loras),
    )


def _empty(config: BundleConfig) -> tuple[EditARTransformer, VQTokenizer]:
    with without_weights():
        return EditARTransformer(config.transformer), VQTokenizer(config.tokenizer)


def _fill(
    module: torch.nn.Module,
    file: Path,
    device: torch.device,
    dtype: torch.dtype,
    loras: Sequence[LoraChoice] = (),
) -> None:
    stored = with_loras(read_tensors(file), loras)
    wanted = {
        name: value.to(device, dtype if value.is_floating_point() else value.dtype)
        for name, value in stored.items()
    }
    load_strictly(module, wanted, file, AGAIN)
    module.requires_grad_(False).eval()


def save_bundle(
    path: Path | str,
    *,
    config: BundleConfig,
    transformer: torch.nn.Module,
    tokenizer: torch.nn.Module,
    text_folder: Path | None = None,
    dtype: torch.dtype | None = None,
    tokenizer_dtype: torch.dtype | None = None,
) -> None:
    """Write a bundle from modules; the folder appears whole or not at all.

    Args:
        path: folder to create; an older bundle there is replaced, other files in it are kept.
        config: what to write into config.json; the modules must fit it.
        transformer: an EditARTransformer, on any device.
        tokenizer: a VQTokenizer, on any device.
        text_folder: copied in as ``config.text.path``; none if a T5 encoder lies elsewhere.
        dtype: number format of transformer.safetensors, by default as the module is.
        tokenizer_dtype: the same for tokenizer.safetensors.

    Raises:
        CheckpointError: the modules do not fit the configuration, or the path is taken.
    """
    write_bundle(
        path,
        config=config,
        transformer={name: lazy(v, dtype) for name, v in transformer.state_dict().items()},
        tokenizer={name: lazy(v, tokenizer_dtype) for name, v in tokenizer.state_dict().items()},
        text_folder=text_folder,
    )


def write_bundle(
    path: Path | str,
    *,
    config: BundleConfig,
    transformer: Mapping[str, LazyTensor],
    tokenizer: Mapping[str, LazyTensor],
    text_folder: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write a bundle tensor by tensor; see :func:`save_bundle`.

    Args:
        path: as there.
        config: as there.
        transformer: native name -> tensor.
        tokenizer: native name -> tensor.
        text_folder: as there.
        progress: told what is being done.

    Raises:
        CheckpointError: as there.
    """
    assert text_folder or config.text.kind == "t5", "a MiniLM encoder is a part of its bundle"
    say = progress or (lambda _: None)
    path = Path(path)
    for module, tensors, name in zip(
        _empty(config), (transformer, tokenizer), (TRANSFORMER, TOKENIZER), strict=True
    ):
        shapes = {key: value.shape for key, value in tensors.items()}
        check_shapes(module_shapes(module), shapes, path / name, "Nothing was written.")
    with _whole_folder(path) as temporary:
        for tensors, name in ((transformer, TRANSFORMER), (tokenizer, TOKENIZER)):
            say(f"writing {name}")
            write_tensors(temporary / name, tensors)
        if text_folder is not None:
            say("copying the text encoder")
            shutil.copytree(text_folder, temporary / config.text.path)
        (temporary / CONFIG).write_text(config.to_json(), encoding="utf-8")
        say("computing sha256")
        write_sums(temporary)


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place when the block ends well."""
    path = path.resolve()
    occupied = path.exists() and not (path / CONFIG).is_file()
    if occupied and (not path.is_dir() or any(path.iterdir())):
        raise CheckpointError(f"{path}: exists and is no model bundle; name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if not path.exists():
            temporary.replace(path)
            return
        # A model card or a licence beside the weights outlives them.
        own = {SUMS, CONFIG, *(name for _, name in _recorded_sums(path))}
        for file in path.rglob("*"):
            relative = file.relative_to(path)
            if file.is_file() and relative.as_posix() not in own:
                (temporary / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, temporary / relative)
        old = path.parent / f".{path.name}.{os.getpid()}.old"
        path.replace(old)
        temporary.replace(path)
        shutil.rmtree(old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256_of(file: Path) -> str:
    """The sha256 of a file in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_sums(path: Path) -> None:
    """Record the sha256 of every file in a bundle folder, as `sha256sum` prints them."""
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.name != SUMS)
    lines = [f"{sha256_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    (path / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(path: Path) -> int:
    """Compare a bundle's files with their recorded sha256.

    Returns:
        The number of files compared; 0 if the bundle records none.

    Raises:
        CheckpointError: a file is missing or differs, or the record itself is damaged.
    """
    recorded = _recorded_sums(path)
    for expected, name in recorded:
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name}: no such file. {AGAIN}")
        if sha256_of(path / name) != expected:
            raise CheckpointError(f"{path / name}: its sha256 is not the recorded one. {AGAIN}")
    return len(recorded)


def _recorded_sums(path: Path) -> list[tuple[str, str]]:
    """(sha256, relative name) of every line of a bundle's record; none if it has no record."""
    file = path / SUMS
    if not file.is_file():
        return []
    recorded = []
    for line in file.read_text(encoding="utf-8").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator:
            raise CheckpointError(f"{file}: not a list of sha256 sums. {AGAIN}")
        recorded.append((digest, name))
    return recorded


def verify_bundle(path: Path) -> int:
    """Check a bundle: configuration, names and shapes of all tensors, sha256 of all files.

    Args:
        path: the bundle folder.

    Returns:
        The number of files whose sha256 was compared; 0 if none is recorded.

    Raises:
        CheckpointError: the first thing found to be wrong.
    """
    config = read_config(path)
    for module, name in zip(_empty(config), (TRANSFORMER, TOKENIZER), strict=True):
        check_shapes(module_shapes(module), read_shapes(path / name), path / name, AGAIN)
    if config.text.kind == "minilm":
        MiniLMEncoder(path / config.text.path, text_tokens=config.text.text_tokens)
    return check_sums(path)
