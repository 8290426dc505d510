"""Every flag that more than one place could want, declared once.

A sampling flag left out is ``None``: the model's own defaults, stored in its bundle, then hold.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from editar_cli.config import SamplingConfig
from editar_cli.errors import UsageError
from editar_cli.geometry import Fit


class DType(StrEnum):
    """Number formats the model can run in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Quantize(StrEnum):
    """How the weights that every step reads are stored."""

    NONE = "none"
    INT8 = "int8"


class Size(StrEnum):
    """Which size an output has."""

    SOURCE = "source"
    MODEL = "model"


class OnExists(StrEnum):
    """What to do with an output that is already there."""

    SKIP = "skip"
    OVERWRITE = "overwrite"
    ERROR = "error"


class Format(StrEnum):
    """Picture formats an output can have; ``auto`` is the input's own."""

    AUTO = "auto"
    AVIF = "avif"
    JPG = "jpg"
    PNG = "png"
    TIFF = "tiff"
    WEBP = "webp"


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help="The embedded model, a converted one by name, or a bundle folder.",
        envvar="EDITAR_MODEL",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where the model runs.",
        envvar="EDITAR_DEVICE",
    ),
]
DTypeOption = Annotated[
    DType,
    typer.Option(
        "--dtype",
        help="Number format: auto is bfloat16 on cuda, and for large models where the processor "
        "multiplies it; else float32.",
        envvar="EDITAR_DTYPE",
    ),
]
QuantizeOption = Annotated[
    Quantize,
    typer.Option(
        "--quantize",
        help="int8 keeps the transformer's weights in 8 bits: smaller and faster, not quite equal.",
        envvar="EDITAR_QUANTIZE",
    ),
]
BatchSizeOption = Annotated[
    str,
    typer.Option(
        "--batch-size",
        metavar="auto|N",
        help="Pictures edited at once; halved by itself when memory runs out.",
        envvar="EDITAR_BATCH_SIZE",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=0,
        help="Threads that read and write pictures while the model works. Default: up to 4, as far "
        "as the model leaves processor cores free.",
        envvar="EDITAR_JOBS",
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        help="Another seed, another result; each picture's own is derived from it and its path.",
        envvar="EDITAR_SEED",
    ),
]
GuidanceOption = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        metavar="SCALE",
        help="How strongly the instruction pulls; 1 is off. Default: the model's own.",
        envvar="EDITAR_GUIDANCE",
    ),
]
GuidanceIntervalOption = Annotated[
    int | None,
    typer.Option(
        "--guidance-interval", metavar="N", help="Guide the first code and the N + 1 after it only."
    ),
]
ImageGuidanceOption = Annotated[
    float | None,
    typer.Option(
        "--image-guidance",
        metavar="SCALE",
        help="How strongly the given picture or map pulls, by a third branch that sees nothing. "
        "Default: the model's own, or off.",
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="T",
        help="Lower is safer, higher more varied; 0 takes the likeliest. Default: the model's own.",
    ),
]
TopKOption = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        help="Draw from the K likeliest codes; 0 is all. Default: the model's own.",
    ),
]
TopPOption = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="P",
        help="Draw from the likeliest codes that together reach P. Default: the model's own.",
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR|-",
        help="Where results go; - is standard output. Default: beside the input.",
    ),
]
RecursiveOption = Annotated[
    bool,
    typer.Option("--recursive", "-r", help="Go into the folders of a folder."),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="PATTERN", help='Names of outputs, such as "{stem}_{seed}{ext}".'
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option("--format", help="Format of outputs; auto is the input's."),
]
InPlaceOption = Annotated[
    bool,
    typer.Option("--in-place", help="Replace the inputs themselves."),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace outputs that are already there: --on-exists overwrite."
    ),
]
OnExistsOption = Annotated[
    OnExists | None,
    typer.Option(
        "--on-exists", help="What to do with outputs that are already there.  [default: skip]"
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print what would be read and written, without loading a model."
    ),
]
FailFastOption = Annotated[
    bool,
    typer.Option("--fail-fast", help="Stop at the first failure."),
]
FromFileOption = Annotated[
    str | None,
    typer.Option(
        "--from-file",
        metavar="LIST|-",
        help="A list of pictures: one path a line, or .csv / .jsonl with image and, if you like, "
        "instruction or caption, seed, output.",
    ),
]
SizeOption = Annotated[
    Size,
    typer.Option("--size", help="Size of the result: the source's, or the model's bare square."),
]
FitOption = Annotated[
    Fit | None,
    typer.Option(
        "--fit", help="How the picture becomes the model's square. Default: the model's own."
    ),
]
PreserveOption = Annotated[
    bool,
    typer.Option(
        "--preserve/--no-preserve",
        help="Keep the source's own detail where the model changed little.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="One line of JSON per picture on standard output."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Say what is done."),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="Recipe file (TOML). Default: built-in values."),
]


def sampling_given(**values: float | int | None) -> dict[str, Any]:
    """The sampling flags that a person gave, checked now and not after a model has loaded.

    Raises:
        UsageError: a value is out of range.
    """
    given: dict[str, Any] = {flag: value for flag, value in values.items() if value is not None}
    SamplingConfig(**given)
    return given


def parse_batch_size(text: str) -> int | None:
    """The number of pictures at once that ``--batch-size`` asks for, or ``None`` for auto.

    Raises:
        UsageError: it is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size {text}: must be auto or a number from 1")
    return int(text)
