"""Packages and weights of the extractors' networks: what is here, and what brings the rest."""

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from editar_cli.errors import CheckpointError, ModelError
from editar_cli.modes._mode import Download, ExtractorSettings

INSTALL = 'pip install "editar[annotators]"'
# Files that a transformers model folder needs beside its weights.
CONFIGS = ("config.json", "preprocessor_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def installed(*packages: str) -> bool:
    """Whether all packages can be imported, found without importing them."""
    return all(find_spec(package) is not None for package in packages)


def need(extractor: str, *packages: str) -> None:
    """Makes sure that an extractor's packages are there.

    Raises:
        ModelError: some are not.
    """
    missing = [package for package in packages if not installed(package)]
    if missing:
        raise ModelError(f"--extractor {extractor} needs {', '.join(missing)}: {INSTALL}")


@contextlib.contextmanager
def loading(extractor: str) -> Iterator[None]:
    """Imports and loading without the libraries' remarks on standard output and error.

    Raises:
        ModelError: a package cannot be imported.
    """
    # Not the null device: loggers keep the stream that they are born with, and a closed one would
    # make them complain later.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        except ImportError as error:
            raise ModelError(
                f"--extractor {extractor}: a package is missing or broken: {error}; {INSTALL}"
            ) from error


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turns what goes wrong while weights are read into one kind of error.

    Raises:
        CheckpointError: the weights cannot be read or are of another network.
    """
    try:
        yield
    except (ModelError, ImportError):
        raise
    except Exception as error:  # torch, pickle and transformers raise many kinds, all meaning this
        raise CheckpointError(
            f"{path}: no {what} weights can be read from it: {_first_line(error)}"
        ) from error


def cached(repository: str, file: str) -> Path | None:
    """The file in the hub's cache, or ``None``; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, file)
    # The third answer, beside a path and None, is an object that says "known not to exist".
    return Path(path) if isinstance(path, str) else None


def in_cache(repository: str, file: str) -> bool:
    """Whether the hub's cache has the file."""
    return cached(repository, file) is not None


def cached_folder(repository: str) -> Path | None:
    """The folder of a complete transformers model in the hub's cache, or ``None``."""
    for name in WEIGHTS:
        file = cached(repository, name)
        if file is not None and all((file.parent / config).is_file() for config in CONFIGS):
            return file.parent
    return None


def weights_file(
    extractor: str,
    download: Download,
    settings: ExtractorSettings,
    at_hand: Iterable[str],
    patterns: tuple[str, ...] = (),
) -> Path:
    """One file of weights: the person's, else the cache's, else downloaded.

    Args:
        extractor: for messages.
        download: where the hub has it.
        settings: ``weights`` may be the file or a folder with it.
        at_hand: extractors that would run without a network, for messages.
        patterns: names of the file that are looked for in a folder, beside the hub's.

    Raises:
        ModelError: there is no such file, or it cannot be downloaded.
    """
    if settings.weights is not None:
        return _given_file(extractor, settings.weights, (Path(download.file).name, *patterns))
    file = cached(download.repository, download.file)
    if file is not None:
        return file
    from huggingface_hub import hf_hub_download

    with _downloading(extractor, download, at_hand):
        return Path(hf_hub_download(download.repository, download.file))


def weights_folder(
    extractor: str, download: Download, settings: ExtractorSettings, at_hand: Iterable[str]
) -> Path:
    """The folder of a transformers model: the person's, else the cache's, else downloaded.

    Raises:
        ModelError: there is no such folder, or it cannot be downloaded.
    """
    if settings.weights is not None:
        given = _snapshot(_existing(extractor, settings.weights))
        folder = given.parent if given.is_file() else given
        if not (folder / CONFIGS[0]).is_file():
            raise ModelError(
                f"--extractor-weights {settings.weights}: no {CONFIGS[0]} in it; extractor "
                f"{extractor} wants the folder of {download.repository}"
            )
        return folder
    known = cached_folder(download.repository)
    if known is not None:
        return known
    from huggingface_hub import snapshot_download

    with _downloading(extractor, download, at_hand):
        # Both kinds of weights side by side would double the download.
        for kind in ("*.safetensors", "*.bin"):
            folder = Path(snapshot_download(download.repository, allow_patterns=["*.json", kind]))
            if any(folder.glob(kind)):
                return folder
        raise FileNotFoundError("the repository has no weights that transformers reads")


def _existing(extractor: str, path: Path) -> Path:
    if not path.exists():
        raise ModelError(f"--extractor-weights {path}: there is no such file or folder")
    return path


def _snapshot(path: Path) -> Path:
    """A model's folder as it lies in the hub's cache -> the folder with its files."""
    snapshots = sorted((path / "snapshots").glob("*")) if path.is_dir() else []
    return snapshots[-1] if snapshots else path


def _given_file(extractor: str, given: Path, patterns: tuple[str, ...]) -> Path:
    path = _snapshot(_existing(extractor, given))
    if path.is_file():
        return path
    for pattern in patterns:
        found = sorted(path.rglob(pattern))
        if found:
            return found[0]
    raise ModelError(
        f"--extractor-weights {given}: extractor {extractor} looks for {' or '.join(patterns)} "
        "in it, and there is none"
    )


@contextlib.contextmanager
def _downloading(extractor: str, download: Download, at_hand: Iterable[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the hub's client and its transport raise many kinds
        from huggingface_hub import constants

        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(error)
        others = ", ".join(name for name in at_hand if name != extractor)
        raise ModelError(
            f"--extractor {extractor}: its weights, {download.repository} on the Hugging Face hub "
            f"({download.megabytes} MB), are not in the cache and cannot be downloaded: {reason}. "
            "Without a network, copy that folder from another machine and give "
            "--extractor-weights PATH, set HF_HOME to a cache that has it"
            + (f", or use another extractor: {others}" if others else "")
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
