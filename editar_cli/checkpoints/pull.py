"""Downloading known models from the Hugging Face hub and making bundles of them."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from editar_cli.checkpoints.registry import (
    HubFile,
    KnownModel,
    bundle_folder,
    readable_size,
)
from editar_cli.errors import CheckpointError
from editar_cli.folders import home
from editar_cli.tensorfiles import few


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """A file that a pull needs.

    Args:
        source: where it is published.
        size: bytes, as the hub says, else as the registry knows.
        sha256: as the hub says, if it does.
        cached: the local file, if the Hugging Face cache has it.
    """

    source: HubFile
    size: int
    sha256: str | None
    cached: Path | None


def plan_pull(model: KnownModel) -> list[PlannedFile]:
    """What a pull would download, with sizes from the hub.

    Args:
        model: from the registry.

    Raises:
        CheckpointError: a file is not in the cache and the hub cannot be asked, because of
            ``HF_HUB_OFFLINE`` or otherwise, or does not have it.
    """
    cached = {file: cached_file(file) for file in model.files}
    missing = [file for file in model.files if cached[file] is None]
    facts = hub_facts(missing) if missing else {}
    return [
        PlannedFile(
            source=file,
            size=found.stat().st_size if (found := cached[file]) else facts[file][0],
            sha256=None if found else facts[file][1],
            cached=found,
        )
        for file in model.files
    ]


def cached_file(file: HubFile) -> Path | None:
    """The file in the local Hugging Face cache, if it is there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.file, repo_type=file.repo_type)
    return Path(found) if isinstance(found, str) else None


def hub_facts(files: Sequence[HubFile]) -> dict[HubFile, tuple[int, str | None]]:
    """Size and sha256 (large files only) of files, asked from the hub.

    Raises:
        CheckpointError: offline, no answer, or a file is not there.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.hf_api import RepoFile

    if constants.HF_HUB_OFFLINE:
        names = few(f"{file.repo}/{file.file}" for file in files)
        size = readable_size(sum(file.size for file in files))
        raise CheckpointError(
            f"HF_HUB_OFFLINE is set and the Hugging Face cache lacks {names} ({size}); unset it, "
            "or copy the files here and use `editar weights convert`"
        )
    facts: dict[HubFile, tuple[int, str | None]] = {}
    for repo, kind in sorted({(file.repo, file.repo_type) for file in files}):
        wanted = {f.file: f for f in files if (f.repo, f.repo_type) == (repo, kind)}
        try:
            answers = HfApi().get_paths_info(repo, list(wanted), repo_type=kind)
        except hub_errors() as error:
            raise CheckpointError(
                f"the Hugging Face hub could not be asked about {repo} ({error}); try again "
                "later, or copy the files here and use `editar weights convert`"
            ) from error
        for answer in answers:
            if isinstance(answer, RepoFile):
                large = answer.lfs
                facts[wanted[answer.path]] = (answer.size, large.sha256 if large else None)
    if gone := [f"{file.repo}/{file.file}" for file in files if file not in facts]:
        raise CheckpointError(f"the Hugging Face hub has no {', '.join(gone)}; was it renamed?")
    return facts


def hub_errors() -> tuple[type[BaseException], ...]:
    """What asking the hub can raise.

    The HTTP library below huggingface_hub has changed more than once; HfHubHTTPError always derives
    from the error that all of that library's own derive from.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *HfHubHTTPError.__bases__)


def check_disk(plan: Iterable[PlannedFile], model: KnownModel) -> None:
    """Refuse a pull that does not fit on the disks it goes to.

    Raises:
        CheckpointError: too little room; says where and how much.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    needed: dict[Path, int] = {}
    download = sum(file.size for file in plan if file.cached is None)
    converted = sum(f.size for f in (model.transformer, model.tokenizer) if f is not None)
    for folder, size in ((Path(HF_HUB_CACHE), download), (home(), converted)):
        while not folder.exists():
            folder = folder.parent
        # Both usually lie on one disk: count what goes to each disk together.
        disk = next((f for f in needed if f.stat().st_dev == folder.stat().st_dev), folder)
        needed[disk] = needed.get(disk, 0) + size
    for disk, size in needed.items():
        free = shutil.disk_usage(disk).free
        if free < size:
            raise CheckpointError(
                f"{disk}: {readable_size(size)} needed, {readable_size(free)} free; make room, or "
                "set HF_HOME and EDITAR_HOME to folders on another disk"
            )


def pull(model: KnownModel, plan: Sequence[PlannedFile], say: Callable[[str], None]) -> Path:
    """Download what is missing, record sha256, and convert.

    Args:
        model: from the registry.
        plan: from :func:`plan_pull`.
        say: told what is being done.

    Returns:
        The bundle's folder, or for a text encoder its folder in the Hugging Face cache.

    Raises:
        CheckpointError: a download fails or has another sha256 than the hub says, or the files
            cannot be converted.
    """
    from editar_cli.checkpoints.convert import convert
    from editar_cli.checkpoints.native import sha256_of

    local: dict[HubFile, Path] = {}
    record: list[dict[str, object]] = []
    for planned in plan:
        source = planned.source
        if planned.cached is None:
            say(f"downloading {source.repo}/{source.file} ({readable_size(planned.size)})")
        local[source] = planned.cached or download(source)
        digest = sha256_of(local[source])
        if planned.sha256 not in (None, digest):
            raise CheckpointError(
                f"{local[source]}: its sha256 is not the one the hub states; delete it and pull "
                "again"
            )
        record.append(
            {
                "repo": source.repo,
                "file": source.file,
                "size": local[source].stat().st_size,
                "sha256": digest,
            }
        )
    if model.transformer is not None and model.tokenizer is not None:
        folder = bundle_folder(model.name)
        repos = {file.repo: file.repo_type for file in model.files}
        convert(
            local[model.transformer],
            local[model.tokenizer],
            folder,
            name=model.name,
            start_grid=model.start_grid,
            sources={"repositories": repos},
            progress=say,
        )
    else:
        folder = local[model.text[0]].parent
    file = record_file(model)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return folder


def record_file(model: KnownModel) -> Path:
    """Where the sha256 of a model's downloads are recorded."""
    return home() / "pulled" / f"{model.name}.json"


def download(file: HubFile) -> Path:
    """Fetch one file into the Hugging Face cache.

    Raises:
        CheckpointError: the hub does not give it.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(file.repo, file.file, repo_type=file.repo_type))
    except hub_errors() as error:
        raise CheckpointError(
            f"{file.repo}/{file.file} could not be downloaded ({error}); pull again to go on, or "
            "copy the file here and use `editar weights convert`"
        ) from error


def check_downloads(model: KnownModel) -> int:
    """Compare a text encoder's files in the cache with the sha256 recorded when pulled.

    Args:
        model: from the registry.

    Returns:
        The number of files compared.

    Raises:
        CheckpointError: nothing was recorded, or a file is missing or differs.
    """
    from editar_cli.checkpoints.native import sha256_of

    file = record_file(model)
    again = f"pull it again: `editar weights pull {model.name}`"
    if not file.is_file():
        raise CheckpointError(f"{model.name} was not pulled here; {again}")
    recorded = {
        (entry["repo"], entry["file"]): entry["sha256"]
        for entry in json.loads(file.read_text(encoding="utf-8"))
    }
    for wanted in model.text:
        found = cached_file(wanted)
        if found is None:
            raise CheckpointError(f"{wanted.repo}/{wanted.file} is not in the cache; {again}")
        if recorded.get((wanted.repo, wanted.file)) != sha256_of(found):
            raise CheckpointError(f"{found}: its sha256 is not the recorded one; {again}")
    return len(model.text)
