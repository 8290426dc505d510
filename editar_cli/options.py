"""Every flag that more than one place could want, declared once, and the groups they come in.

A sampling flag left out is ``None``: the model's own defaults, stored in its bundle, then hold.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from editar_cli.config import MAX_PIXELS, SamplingConfig
from editar_cli.console import Messages
from editar_cli.errors import UsageError
from editar_cli.flags import Group
from editar_cli.geometry import Fit

if TYPE_CHECKING:
    from editar_cli.checkpoints.lora import LoraChoice
    from editar_cli.editor import Editor
    from editar_cli.images import ReadOptions
    from editar_cli.masks import AreaSettings


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


class Strategy(StrEnum):
    """How codes are guessed; which come out does not depend on it."""

    SPECULATIVE = "speculative"
    SEQUENTIAL = "sequential"


class Size(StrEnum):
    """Which size an output has."""

    SOURCE = "source"
    MODEL = "model"


class ScorerChoice(StrEnum):
    """Who chooses among candidates."""

    AUTO = "auto"
    CLIP = "clip"
    RATIO = "ratio"
    LIKELIHOOD = "likelihood"


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
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where the model runs.",
    ),
]
DTypeOption = Annotated[
    DType,
    typer.Option(
        "--dtype",
        help="Number format: auto is bfloat16 on cuda, and for large models where the processor "
        "multiplies it; else float32.",
    ),
]
QuantizeOption = Annotated[
    Quantize,
    typer.Option(
        "--quantize",
        help="int8 keeps the transformer's weights in 8 bits: smaller and faster, not quite equal.",
    ),
]
LoraOption = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        metavar="DIR[:SCALE]",
        help="A LoRA adapter to add to the model, as `editar train` or peft writes it; give it "
        "again for more. A scale below 1 weakens it.",
    ),
]
BatchSizeOption = Annotated[
    str,
    typer.Option(
        "--batch-size",
        metavar="auto|N",
        help="Pictures edited at once; halved by itself when memory runs out.",
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
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        help="Another seed, another result; each picture's own is derived from it and its path.",
    ),
]
GuidanceOption = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        metavar="SCALE",
        help="How strongly the instruction pulls; 1 is off. Default: the model's own.",
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
        "--name",
        metavar="PATTERN",
        help='Names of outputs, such as "{stem}_{seed}{ext}"; {variation} is the number of one.',
    ),
]
VariationsOption = Annotated[
    int,
    typer.Option(
        "--variations",
        metavar="N",
        min=1,
        help="Results per picture, each with another seed, numbered from 1.",
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
BestOfOption = Annotated[
    int,
    typer.Option(
        "--best-of", metavar="N", min=1, help="Draw N candidates of each result, write the best."
    ),
]
ScorerOption = Annotated[
    ScorerChoice,
    typer.Option(
        "--scorer",
        help="Who says which is best: a CLIP network, or the model itself, by how much the "
        "instruction raised its codes' likelihood (ratio) or by that likelihood. auto is clip "
        "where its weights are on this machine, else ratio.",
    ),
]
ScorerWeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--scorer-weights",
        metavar="FOLDER",
        help="A CLIP network as transformers saves it, instead of the hub's cache.",
    ),
]
CandidatesOption = Annotated[
    Path | None,
    typer.Option("--candidates", metavar="DIR", help="Keep all candidates there, numbered from 1."),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        "--sheet",
        metavar="FILE.png|FILE.jpg",
        help="Write a contact sheet: each picture with its results beside it.",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a page to look through: before and after, texts, seeds, times and failures.",
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
    typer.Option("--fail-fast", help="Stop at the first failure: --max-failures 1."),
]
MaxFailuresOption = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        metavar="N",
        min=1,
        help="Stop when so many pictures have failed. Default: never.",
    ),
]
MaxPixelsOption = Annotated[
    int,
    typer.Option(
        "--max-pixels",
        metavar="N",
        min=1,
        help="Pictures with more pixels are refused, before they are unpacked.",
    ),
]
AllowTruncatedOption = Annotated[
    bool,
    typer.Option(
        "--allow-truncated",
        help="Take files that are damaged or cut short as far as they can be read.",
    ),
]
FrameOption = Annotated[
    int | None,
    typer.Option(
        "--frame",
        metavar="N",
        min=1,
        help="Of animations and files of several pages, take this one; the first is 1. Default: "
        "such files are refused.",
    ),
]
StripOption = Annotated[
    bool,
    typer.Option(
        "--strip",
        help="Write no EXIF, no XMP, no text and no note of how it was made. The colour profile, "
        "without which colours would look different, and the resolution stay.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do the I-th of N shares of the pictures, such as 2/3, on a machine of several. Each "
        "picture is in one of them, whatever pictures there are beside it.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Stay, and take what comes into the folders and those in them, once it has stopped "
        "changing. Ctrl-C ends it.",
    ),
]
FromFileOption = Annotated[
    str | None,
    typer.Option(
        "--from-file",
        metavar="LIST|-",
        help="A list of pictures: one path a line, or .csv / .jsonl with image and, if you like, "
        "instruction or caption, mask, seed, output.",
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
MaskOption = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE|DIR",
        help="White where pictures may change: one for all, or a folder with one of each name.",
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="X,Y,W,H",
        help="Only this rectangle may change: in pixels of the upright picture, or in percent.",
    ),
]
FeatherOption = Annotated[
    float | None,
    typer.Option(
        "--feather",
        metavar="PX",
        min=0,
        help="Soft edge of mask and region in pixels, inside of them; 0 is hard. Default: 0.3 % of "
        "the picture's short side.",
    ),
]
InvertMaskOption = Annotated[
    bool,
    typer.Option(
        "--invert-mask", help="Black may change, not white; without a mask, all but the region."
    ),
]
ZoomOption = Annotated[
    bool,
    typer.Option(
        "--zoom/--no-zoom",
        help="Show the model only what may change and its surroundings, not the whole picture: "
        "finer and stronger edits.",
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
StrategyOption = Annotated[
    Strategy,
    typer.Option(
        "--strategy", help="How codes are guessed: the pictures are the same, the time is not."
    ),
]
SweepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        metavar="NAME=V1,V2,...",
        help="Run once for each value of a flag, such as guidance=1,1.5,3, into a folder of each; "
        "repeated, for each combination. Then one table, and a plot of what is kept of pictures "
        "against how far the instruction is followed. Runs that are there are not made again.",
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE|NAME",
        help="Recipe file (TOML), or the name of a shipped one. Default: built-in values.",
    ),
]


class _NotOfResults(Group):
    """Base of groups that results do not depend on."""

    @property
    def settings(self) -> dict[str, Any]:
        """None."""
        return {}


@dataclass(frozen=True, kw_only=True)
class InputOptions(_NotOfResults):
    """Which pictures.

    Raises:
        UsageError: a list is watched.
    """

    from_file: FromFileOption = None
    recursive: RecursiveOption = False
    watch: WatchOption = False

    def __post_init__(self) -> None:
        if self.watch and self.from_file is not None:
            raise UsageError("--watch and --from-file: a folder can be watched, a list cannot")

    @property
    def deep(self) -> bool:
        """Whether the folders of folders are gone into."""
        return self.recursive or self.watch

    def check(self, words: Sequence[str], output: str | None) -> None:
        """Refuse what cannot be watched.

        Args:
            words: inputs of the command line.
            output: where results go, as the command line has it.

        Raises:
            UsageError: one is no folder, or results have no file each.
        """
        if self.watch and output == "-":
            raise UsageError("--watch and -o -: standard output holds one picture; name a folder")
        for word in words if self.watch else ():
            if not os.path.isdir(word):
                raise UsageError(f"--watch: {word} is no folder; what comes into a folder is taken")


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(Group):
    """What is read of pictures, and which are refused."""

    max_pixels: MaxPixelsOption = MAX_PIXELS
    allow_truncated: AllowTruncatedOption = False
    frame: FrameOption = None

    @property
    def settings(self) -> dict[str, Any]:
        """How large a picture may be changes none."""
        return {name: value for name, value in super().settings.items() if name != "max_pixels"}

    @property
    def rules(self) -> "ReadOptions":
        """The same for ``images.read_image``."""
        from editar_cli.images import ReadOptions

        return ReadOptions(
            max_pixels=self.max_pixels, allow_truncated=self.allow_truncated, frame=self.frame
        )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Group):
    """Where results go.

    Raises:
        UsageError: two flags say different things.
    """

    output: OutputOption = None
    name: NameOption = None
    format: FormatOption = Format.AUTO
    overwrite: OverwriteOption = False
    on_exists: OnExistsOption = None
    report: ReportOption = None
    variations: VariationsOption = 1
    strip: StripOption = False
    sheet: SheetOption = None

    def __post_init__(self) -> None:
        if self.report is not None:
            check_page(self.report, "--report")
        if self.sheet is not None and self.sheet.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise UsageError(f"--sheet {self.sheet}: must end in .png or .jpg")
        if self.overwrite and self.on_exists not in (None, OnExists.OVERWRITE):
            raise UsageError(f"--overwrite and --on-exists {self.on_exists}: give one of them")

    @property
    def settings(self) -> dict[str, Any]:
        """What is not about where results go. The format is: names of outputs have it, and which
        of its variations a picture is."""
        return {name: value for name, value in super().settings.items() if name == "strip"}

    @property
    def rule(self) -> OnExists:
        """What to do with outputs that are already there."""
        return OnExists.OVERWRITE if self.overwrite else self.on_exists or OnExists.SKIP


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(Group):
    """How codes are drawn.

    Raises:
        UsageError: a value is out of range: now, and not after a model has loaded.
    """

    guidance: GuidanceOption = None
    image_guidance: ImageGuidanceOption = None
    temperature: TemperatureOption = None
    top_k: TopKOption = None
    top_p: TopPOption = None
    guidance_interval: GuidanceIntervalOption = None

    def __post_init__(self) -> None:
        SamplingConfig(**self.given)

    @property
    def given(self) -> dict[str, Any]:
        """The flags that a person gave."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class FrameOptions(Group):
    """How a picture becomes the model's square, and what becomes of it afterwards."""

    size: SizeOption = Size.SOURCE
    fit: FitOption = None

    @property
    def fit_given(self) -> str | None:
        """``None`` for the model's own."""
        return None if self.fit is None else self.fit.value


@dataclass(frozen=True, kw_only=True)
class AreaOptions(Group):
    """What of a picture may change.

    Raises:
        UsageError: a value makes no sense, or says how to use what is not given.
    """

    mask: MaskOption = None
    region: RegionOption = None
    feather: FeatherOption = None
    invert_mask: InvertMaskOption = False
    zoom: ZoomOption = True

    def __post_init__(self) -> None:
        if self.region is not None or self.feather is not None:
            assert self.area is not None

    @property
    def area(self) -> "AreaSettings":
        """All but the mask."""
        from editar_cli.masks import AreaSettings, Region

        return AreaSettings(
            region=None if self.region is None else Region.parse(self.region),
            feather=self.feather,
            invert=self.invert_mask,
            zoom=self.zoom,
        )

    def check(self, *, masked: bool) -> None:
        """Refuse flags that would do nothing.

        Args:
            masked: some picture has a mask.

        Raises:
            UsageError: there is neither mask nor region.
        """
        if masked or self.region is not None:
            return
        for flag, given in (
            ("--feather", self.feather is not None),
            ("--invert-mask", self.invert_mask),
            ("--no-zoom", not self.zoom),
        ):
            if given:
                raise UsageError(f"{flag}: needs --mask or --region")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Group):
    """Which model, and how it runs.

    Raises:
        UsageError: ``--batch-size`` is neither ``auto`` nor a number, or an adapter is not there.
    """

    model: ModelOption = "mini"
    device: DeviceOption = "auto"
    dtype: DTypeOption = DType.AUTO
    quantize: QuantizeOption = Quantize.NONE
    lora: LoraOption = None
    batch_size: BatchSizeOption = "auto"

    def __post_init__(self) -> None:
        parse_batch_size(self.batch_size)
        assert self.adapters is not None

    @property
    def adapters(self) -> "list[LoraChoice]":
        """What ``--lora`` names, in order."""
        if not self.lora:
            return []
        from editar_cli.checkpoints.lora import LoraChoice

        return [LoraChoice.parse(text) for text in self.lora]

    @property
    def settings(self) -> dict[str, Any]:
        """What is promised to make a difference; a device is not, and a number format only where
        it is given: see ``dtype_given``."""
        quantize = {} if self.quantize is Quantize.NONE else {"quantize": self.quantize}
        # By content: an adapter trained on is another one.
        lora = {"lora": [choice.identity for choice in self.adapters]} if self.lora else {}
        return {**quantize, **lora}

    def load(self, strategy: Strategy = Strategy.SPECULATIVE) -> "Editor":
        """The model, as the flags say.

        Raises:
            ModelError: it, an adapter or the device is not there or cannot be used.
            UsageError: two of the flags do not go together.
        """
        from editar_cli.editor import Editor

        return Editor.load(
            self.model,
            device=self.device,
            dtype=self.dtype.value,
            quantize=self.quantize.value,
            strategy=strategy.value,
            loras=self.adapters,
        )

    @property
    def dtype_given(self) -> str | None:
        """``None`` for what suits the device."""
        return None if self.dtype is DType.AUTO else self.dtype.value

    @property
    def at_once(self) -> int | None:
        """Pictures at once, or ``None`` for as many as suit the device."""
        return parse_batch_size(self.batch_size)


@dataclass(frozen=True, kw_only=True)
class ChoosingOptions(Group):
    """How the best of several candidates is found.

    Raises:
        UsageError: there is nothing to choose from.
    """

    best_of: BestOfOption = 1
    scorer: ScorerOption = ScorerChoice.AUTO
    scorer_weights: ScorerWeightsOption = None
    candidates: CandidatesOption = None

    def __post_init__(self) -> None:
        given = {
            "--candidates": self.candidates is not None,
            "--scorer-weights": self.scorer_weights is not None,
            f"--scorer {self.scorer}": self.scorer is not ScorerChoice.AUTO,
        }
        for flag in (flag for flag, here in given.items() if here and self.best_of == 1):
            raise UsageError(f"{flag}: there is nothing to choose from without --best-of N")
        own = self.scorer in (ScorerChoice.RATIO, ScorerChoice.LIKELIHOOD)
        if own and self.scorer_weights is not None:
            raise UsageError(f"--scorer-weights and --scorer {self.scorer}: only clip has weights")

    @property
    def settings(self) -> dict[str, Any]:
        """Where candidates are kept changes no result."""
        return {name: value for name, value in super().settings.items() if name != "candidates"}


@dataclass(frozen=True, kw_only=True)
class RunOptions(_NotOfResults):
    """How a run over many pictures goes.

    Raises:
        UsageError: ``--shard`` is no share.
    """

    seed: SeedOption = 0
    dry_run: DryRunOption = False
    fail_fast: FailFastOption = False
    max_failures: MaxFailuresOption = None
    jobs: JobsOption = None
    shard: ShardOption = None

    def __post_init__(self) -> None:
        parse_shard(self.shard)

    @property
    def share(self) -> tuple[int, int]:
        """Which of how many shares of the pictures, from 1."""
        return parse_shard(self.shard)

    @property
    def most_failures(self) -> int | None:
        """Stop when so many pictures have failed; ``None`` for never."""
        return 1 if self.fail_fast else self.max_failures


@dataclass(frozen=True, kw_only=True)
class TalkOptions(_NotOfResults):
    """What is said, and how."""

    json_lines: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False

    @property
    def messages(self) -> Messages:
        """Where people are told."""
        return Messages(quiet=self.quiet, verbose=self.verbose)


def check_page(file: Path, flag: str) -> None:
    """Refuse a name that could be a picture's.

    Raises:
        UsageError: ``file`` does not end in .html.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{flag} {file}: must end in .html")


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


def parse_shard(text: str | None) -> tuple[int, int]:
    """2/3 -> (2, 3); nothing is all.

    Raises:
        UsageError: it is no share.
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text}: must be I/N with I from 1 to N, such as 2/3")
    return number, count
