"""Known models: where each comes from, how large it is, and where it lies on this machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from editar_cli.config import SamplingConfig
from editar_cli.embedded import CONFIG, EMBEDDED, embedded_folder
from editar_cli.errors import CheckpointError, UsageError
from editar_cli.folders import home
from editar_cli.geometry import Fit
from editar_cli.text import T5_HUB_ID


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file on the Hugging Face hub.

    Args:
        repo: owner/name.
        file: path inside the repository.
        size: bytes, as far as known; the hub is asked again before a download.
        repo_type: "model" or "dataset".
    """

    repo: str
    file: str
    size: int
    repo_type: str = "model"


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A name people can give to ``editar weights pull`` and, for models, to ``--model``.

    Args:
        name: the name.
        about: one line for people.
        transformer: its transformer, none for a text encoder alone.
        tokenizer: its image tokenizer, none for a text encoder alone.
        text: files of its text encoder, kept in the Hugging Face cache.
        start_grid: code grid side if it is a training start and cannot edit yet.
    """

    name: str
    about: str
    transformer: HubFile | None = None
    tokenizer: HubFile | None = None
    text: tuple[HubFile, ...] = ()
    start_grid: int | None = None

    @property
    def files(self) -> tuple[HubFile, ...]:
        """Everything that is downloaded."""
        parts = (self.transformer, self.tokenizer)
        return (*(part for part in parts if part is not None), *self.text)

    @property
    def size(self) -> int:
        """Bytes of all files, as far as known."""
        return sum(file.size for file in self.files)


FLAN_T5_XL = tuple(
    HubFile(repo=T5_HUB_ID, file=file, size=size)
    for file, size in (
        ("config.json", 1_440),
        ("tokenizer.json", 2_420_000),
        ("tokenizer_config.json", 2_540),
        ("special_tokens_map.json", 2_200),
        ("model.safetensors.index.json", 53_000),
        ("model-00001-of-00002.safetensors", 9_450_000_000),
        ("model-00002-of-00002.safetensors", 1_950_000_000),
    )
)
VQ16 = HubFile(repo="peizesun/llamagen_t2i", file="vq_ds16_t2i.pt", size=288_000_000)
KNOWN = {
    model.name: model
    for model in (
        KnownModel(
            name="editar",
            about="the published EditAR, GPT-XL at 512 px",
            transformer=HubFile(
                repo="JitengMu/CVPR2025_EditAR_release",
                file="editar_release.pt",
                size=3_130_000_000,
                repo_type="dataset",
            ),
            tokenizer=VQ16,
            text=FLAN_T5_XL,
        ),
        KnownModel(
            name="llamagen-t2i",
            about="LlamaGen text-to-image GPT-XL at 512 px: a start for training, cannot edit",
            transformer=HubFile(
                repo="peizesun/llamagen_t2i", file="t2i_XL_stage2_512.pt", size=3_120_000_000
            ),
            tokenizer=VQ16,
            text=FLAN_T5_XL,
            start_grid=32,
        ),
        KnownModel(
            name="flan-t5-xl",
            about="the text encoder of both, for bundles converted by hand",
            text=FLAN_T5_XL,
        ),
    )
}


def known_model(name: str) -> KnownModel:
    """The registry's entry.

    Raises:
        UsageError: the name is not known; the message lists those that are.
    """
    if name not in KNOWN:
        raise UsageError(f"{name}: not a known model; known are {', '.join((EMBEDDED, *KNOWN))}")
    return KNOWN[name]


def bundle_folder(name: str) -> Path:
    """Where a pulled model's bundle lies, whether it is there or not."""
    return home() / "models" / name


def readable_size(size: int) -> str:
    """1536000000 -> "1.5 GB", in powers of ten as hubs and disks count."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def resolve_model(name_or_path: str | Path) -> Path:
    """The bundle folder behind ``--model``.

    Args:
        name_or_path: "mini", a name of the registry that was pulled, or a bundle's folder. A known
            name wins over a folder of the same name; write ``./mini`` for that.

    Raises:
        CheckpointError: the model is not on this machine, or the path is no bundle.
        UsageError: neither a known name nor a path that exists.
    """
    name = str(name_or_path)
    if name == EMBEDDED:
        folder = embedded_folder()
        if folder is None:
            raise CheckpointError("the embedded model is not in this installation; install again")
        return folder
    if name in KNOWN:
        model = KNOWN[name]
        if model.transformer is None:
            raise UsageError(f"{name}: is a text encoder, not a model that edits")
        folder = bundle_folder(name)
        if not (folder / CONFIG).is_file():
            raise CheckpointError(
                f"model {name} is not on this machine; `editar weights pull {name}` downloads it "
                f"({readable_size(model.size)})"
            )
        return folder
    path = Path(name_or_path).expanduser()
    if path.is_file():
        raise CheckpointError(
            f"{path}: a file, not a bundle; make one with `editar weights convert --transformer "
            f"{path} --vq VQ_FILE -o FOLDER`"
        )
    if not path.is_dir():
        raise UsageError(
            f"model {name}: neither a folder nor a known name; known are "
            f"{', '.join((EMBEDDED, *KNOWN))}"
        )
    if not (path / CONFIG).is_file():
        raise CheckpointError(f"{path}: no model bundle, {CONFIG} is missing")
    return path


SUMS = "SHA256SUMS"
"""In a bundle: the checksums of its files."""


def model_settings(folder: Path, *, translating: bool = False) -> Mapping[str, Any]:
    """What a model brings to a result where no flag says otherwise, read without loading it.

    Args:
        folder: its bundle.
        translating: for ``translate``.

    Returns:
        its name, a digest of its weights, and its defaults of fit and sampling.

    Raises:
        CheckpointError: the bundle's configuration cannot be read.
    """
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        own = {
            **config.get("sampling", {}),
            **(config.get("translation", {}) if translating else {}),
        }
        sampling = asdict(SamplingConfig(**own))
        return {
            "model": config["name"],
            "model_hash": _weights_digest(folder),
            "fit": config.get("fit", Fit.STRETCH.value),
            **sampling,
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from error


def _weights_digest(folder: Path) -> str:
    """BLAKE2b of a bundle's checksums, or of its files' sizes and times where it has none."""
    sums = folder / SUMS
    if sums.is_file():
        data = sums.read_bytes()
    else:
        states = [(file.name, file.stat()) for file in sorted(folder.rglob("*")) if file.is_file()]
        data = repr([(name, state.st_size, state.st_mtime_ns) for name, state in states]).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()
