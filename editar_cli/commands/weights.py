"""``editar weights``: list, pull, find, verify, convert and merge models.

Results go to standard output, everything else to standard error.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from editar_cli.console import Messages
from editar_cli.errors import UsageError

if TYPE_CHECKING:
    import torch

app = typer.Typer(
    name="weights",
    help="List, pull, find, verify, convert and merge models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class StoredDType(StrEnum):
    """Number formats a converted transformer can be stored in; ``keep`` is the file's own."""

    KEEP = "keep"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per model.")] = False,
) -> None:
    """Show the known models, their download sizes, and where those on this machine are."""
    from editar_cli.checkpoints.pull import cached_file
    from editar_cli.checkpoints.registry import KNOWN, bundle_folder, readable_size
    from editar_cli.embedded import CONFIG, EMBEDDED, embedded_folder

    embedded = embedded_folder()
    rows: list[dict[str, object]] = [
        {
            "name": EMBEDDED,
            "about": "the embedded model",
            "download": 0,
            "path": None if embedded is None else str(embedded),
        }
    ]
    for model in KNOWN.values():
        place: Path | None
        if model.transformer is not None:
            folder = bundle_folder(model.name)
            place = folder if (folder / CONFIG).is_file() else None
        else:
            found = [cached_file(file) for file in model.text]
            place = found[0].parent if found[0] is not None and all(found) else None
        rows.append(
            {
                "name": model.name,
                "about": model.about,
                "download": model.size,
                "path": None if place is None else str(place),
            }
        )
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    for row in rows:
        size = row["download"]
        assert isinstance(size, int)
        download = readable_size(size) if size else "-"
        place_text = row["path"] or "not here"
        typer.echo(f"{row['name']:<14}{download:>9}  {row['about']}\n{'':<14}{'':>9}  {place_text}")


@app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `editar weights list`.")],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before downloading.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Convert again even if the model is here.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Download a known model and make a bundle of it; sizes are told first.

    Files go to the Hugging Face cache (HF_HOME; HF_HUB_OFFLINE and HF_TOKEN hold), the bundle to
    EDITAR_HOME or the user's cache folder.
    """
    from editar_cli.checkpoints import pull as hub
    from editar_cli.checkpoints.registry import bundle_folder, known_model, readable_size
    from editar_cli.embedded import CONFIG, EMBEDDED, embedded_folder

    messages = Messages(quiet=quiet)
    if name == EMBEDDED and embedded_folder() is not None:
        messages.info("the embedded model is a part of the installation: nothing to pull")
        typer.echo(embedded_folder())
        return
    model = known_model(name)
    folder = bundle_folder(name)
    if model.transformer is not None and (folder / CONFIG).is_file() and not force:
        messages.info(f"{name} is here already; --force converts it again")
        typer.echo(folder)
        return
    plan = hub.plan_pull(model)
    for file in plan:
        note = " (in the cache)" if file.cached else ""
        messages.info(f"{readable_size(file.size):>9}  {file.source.repo}/{file.source.file}{note}")
    download = sum(file.size for file in plan if file.cached is None)
    messages.info(f"{readable_size(download):>9}  to download")
    hub.check_disk(plan, model)
    if download and not yes:
        if not _can_ask():
            raise UsageError(f"{readable_size(download)} to download: say --yes to go on")
        typer.confirm("Download?", abort=True, err=True)
    typer.echo(hub.pull(model, plan, messages.info))


def _can_ask() -> bool:
    return sys.stdin.isatty()


@app.command("path")
def print_path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, or a bundle folder.")],
) -> None:
    """Print the folder of a model that is on this machine."""
    from editar_cli.checkpoints.registry import resolve_model

    typer.echo(resolve_model(name))


@app.command("verify")
def verify_model(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A name, or a bundle folder.")],
    quiet: QuietOption = False,
) -> None:
    """Check a model's tensors against its architecture and its files against their sha256."""
    from editar_cli.checkpoints.registry import KNOWN, resolve_model

    messages = Messages(quiet=quiet)
    if name in KNOWN and KNOWN[name].transformer is None:
        from editar_cli.checkpoints.pull import check_downloads

        files = check_downloads(KNOWN[name])
        typer.echo(f"{name}: ok, {files} files as recorded when pulled")
        return
    from editar_cli.checkpoints.native import verify_bundle
    from editar_cli.checkpoints.registry import SUMS

    path = resolve_model(name)
    files = verify_bundle(path)
    if not files:
        messages.warning(f"{path}: holds no {SUMS}, so only names and shapes were checked")
    typer.echo(f"{path}: ok, names and shapes fit, {files} files as recorded")


@app.command("merge")
def merge_loras(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A name, or a bundle folder.")],
    lora: Annotated[
        list[str],
        typer.Option("--lora", metavar="DIR[:SCALE]", help="A LoRA adapter; again for more."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Bundle folder to write.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Default: the folder's name.")
    ] = None,
    dtype: Annotated[
        StoredDType, typer.Option("--dtype", help="Number format of the transformer on disk.")
    ] = StoredDType.KEEP,
    quiet: QuietOption = False,
) -> None:
    """Add LoRA adapters to a model for good; the new bundle's folder is printed."""
    from editar_cli.checkpoints.lora import LoraChoice
    from editar_cli.checkpoints.merge import merge
    from editar_cli.checkpoints.registry import resolve_model

    merge(
        resolve_model(model),
        [LoraChoice.parse(text) for text in lora],
        output,
        name=name,
        dtype=_torch_dtype(dtype),
        progress=Messages(quiet=quiet).info,
    )
    typer.echo(output)


@app.command("convert")
def convert_files(
    transformer: Annotated[
        Path,
        typer.Option(
            "--transformer",
            metavar="FILE",
            help="Published transformer: editar_release.pt or of its form, or .safetensors.",
        ),
    ],
    vq: Annotated[
        Path, typer.Option("--vq", metavar="FILE", help="Published tokenizer: vq_ds16_t2i.pt.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Bundle folder to write.")
    ],
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="ID|DIR",
            help="T5 text encoder: hub name or folder. Default: google/flan-t5-xl.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Default: the folder's name.")
    ] = None,
    n_head: Annotated[
        int | None,
        typer.Option(
            "--n-head",
            metavar="N",
            min=1,
            help="Attention heads, where the size is no published one.",
        ),
    ] = None,
    start_grid: Annotated[
        int | None,
        typer.Option(
            "--start-grid",
            metavar="N",
            min=1,
            help="Make a training start of a LlamaGen text-to-image file, for an N x N code grid "
            "(32 is 512 px): the null image it lacks becomes fixed noise.",
        ),
    ] = None,
    dtype: Annotated[
        StoredDType, typer.Option("--dtype", help="Number format of the transformer on disk.")
    ] = StoredDType.KEEP,
    quiet: QuietOption = False,
) -> None:
    """Make a bundle of published files; the bundle's folder is printed."""
    from editar_cli.checkpoints.convert import convert
    from editar_cli.text import T5_HUB_ID

    convert(
        transformer,
        vq,
        output,
        name=name,
        text=text or T5_HUB_ID,
        n_head=n_head,
        start_grid=start_grid,
        dtype=_torch_dtype(dtype),
        progress=Messages(quiet=quiet).info,
    )
    typer.echo(output)


def _torch_dtype(stored: StoredDType) -> "torch.dtype | None":
    import torch

    formats = {
        StoredDType.KEEP: None,
        StoredDType.FLOAT32: torch.float32,
        StoredDType.BFLOAT16: torch.bfloat16,
        StoredDType.FLOAT16: torch.float16,
    }
    return formats[stored]
