"""``editar translate``: pictures or maps in, new pictures with the same geometry out."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from editar_cli import options
from editar_cli.commands._errand import Errand
from editar_cli.commands._run import carry_out, settings_of
from editar_cli.errors import UsageError
from editar_cli.flags import Group, with_groups
from editar_cli.ledger import Ledger
from editar_cli.modes import NAMES

if TYPE_CHECKING:
    from editar_cli.modes._settings import MapSettings
    from editar_cli.runners._runner import Seat, Session


class Input(StrEnum):
    """What the given pictures are."""

    PHOTO = "photo"
    MAP = "map"


@with_groups
def translate(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE... [CAPTION]",
            help="Files, folders, globs or - for standard input; then, if you like, a caption.",
        ),
    ] = None,
    *,
    mode: Annotated[
        str, typer.Option("--mode", metavar="|".join(NAMES), help="The kind of map in between.")
    ],
    caption: Annotated[
        str | None,
        typer.Option("--caption", metavar="TEXT", help="The caption; all words are then inputs."),
    ] = None,
    caption_files: Annotated[
        bool,
        typer.Option(
            "--caption-files/--no-caption-files",
            help="Without a caption, take that of in.jpg from in.txt beside it.",
        ),
    ] = True,
    input: Annotated[
        Input, typer.Option("--input", help="The pictures are photographs, or maps already.")
    ] = Input.PHOTO,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="The maps are the other way round (black lines, near dark)."),
    ] = False,
    extractor: Annotated[
        str | None,
        typer.Option(
            "--extractor",
            metavar="NAME",
            help="How maps are found; --extractor list shows them. Default: what suits the model.",
        ),
    ] = None,
    extractor_weights: Annotated[
        Path | None,
        typer.Option(
            "--extractor-weights",
            metavar="PATH",
            help="The extractor's weights, instead of the model hub and its cache.",
        ),
    ] = None,
    low: Annotated[
        float | None, typer.Option("--low", metavar="T", help="Edges: the lower threshold.")
    ] = None,
    high: Annotated[
        float | None, typer.Option("--high", metavar="T", help="Edges: the upper threshold.")
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            metavar="PX",
            help="Short side at which the extractor looks at a picture.",
        ),
    ] = None,
    map_only: Annotated[
        bool, typer.Option("--map-only", help="Write the maps themselves; no model is loaded.")
    ] = False,
    save_map: Annotated[
        Path | None,
        typer.Option("--save-map", metavar="DIR", help="Write each map into a folder as well."),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Write source, map and result side by side as well."),
    ] = False,
    inputs: options.InputOptions,
    reading: options.ReadingOptions,
    outputs: options.OutputOptions,
    sampling: options.SamplingOptions,
    frame: options.FrameOptions,
    running: options.RunOptions,
    models: options.ModelOptions,
    talk: options.TalkOptions,
) -> None:
    """Make new pictures from the edges, the depth or the regions of given ones.

    \b
      editar translate --mode canny in.jpg
      editar translate --mode depth photos/ "a winter evening" -o out/ --preview
      editar translate --mode segmentation --input map maps/ --from-file captions.csv
    """
    if extractor == "list":
        _list_extractors(mode)
        return
    from editar_cli import batch
    from editar_cli.discovery import split_caption
    from editar_cli.lists import read_list
    from editar_cli.modes._mode import ExtractorSettings
    from editar_cli.modes._settings import MapSettings
    from editar_cli.runners._runner import Making

    if map_only and save_map is not None:
        raise UsageError("--map-only and --save-map: the maps are the results; -o names the folder")
    if map_only and outputs.variations > 1:
        raise UsageError("--map-only and --variations: a picture has one map")
    rows = read_list(inputs.from_file) if inputs.from_file is not None else []
    if any(row.mask is not None for row in rows):
        raise UsageError("masks are for editar edit: a translation makes all of a picture new")
    words, text = split_caption(items or [], caption, other_inputs=bool(rows))
    if map_only and (text is not None or frame.size is not options.Size.SOURCE):
        flag = "--size model"
        if text is not None:
            flag = f'the caption "{text}"' if caption is None else "--caption"
        raise UsageError(f"--map-only and {flag}: without a model there is no use for it")
    if not words and not rows:
        raise UsageError(f"no picture: editar translate --mode {mode} in.jpg")
    inputs.check(words, outputs.output)
    format = outputs.format
    if map_only and format is options.Format.AUTO:
        # A map is data: no format that changes its pixels, unless asked for.
        format = options.Format.PNG if not _names_a_file(outputs.output) else format
    placement = batch.Placement(
        output=outputs.output,
        name=outputs.name,
        format=format.value,
        seed=running.seed,
        on_exists=outputs.rule.value,
        tag=f"{mode}-map" if map_only else mode,
        maps=save_map,
        preview=preview,
        variations=outputs.variations,
        sheet=outputs.sheet,
    )
    tags = ["edited", "preview"]
    if input is Input.PHOTO:
        tags += [tag for name in NAMES for tag in (name, f"{name}-map")]
    made_with: dict[str, object] = {
        "mode": mode,
        "input": input.value,
        "invert": invert or None,
        "extractor": extractor,
        "extractor_weights": extractor_weights,
        "low": low,
        "high": high,
        "resolution": resolution,
        "map_only": map_only or None,
    }
    groups: tuple[Group, ...] = (inputs, reading, outputs)
    if not map_only:
        groups += (sampling, frame, models)
    ledger = Ledger(
        lambda: settings_of(
            groups,
            {name: value for name, value in made_with.items() if value is not None},
            model=None if map_only else models.model,
            translating=True,
        ),
        seed=None if map_only else running.seed,
        on_exists=outputs.rule.value,
        dtype=None if map_only else models.dtype_given,
    )
    settings = MapSettings(
        mode=mode,
        extractor=extractor,
        extracting=ExtractorSettings(
            low=low, high=high, resolution=resolution, weights=extractor_weights
        ),
        input=input.value,
        invert=invert,
        preview=preview,
    )
    errand = Errand(
        words=words,
        make_plan=partial(
            batch.plan_jobs,
            words,
            text,
            placement,
            recursive=inputs.deep,
            rows=rows,
            asked="caption",
            caption_files=caption_files and not map_only,
            own_tags=tags,
            ledger=ledger,
            shard=running.share,
        ),
        opening=_Opening(
            models=models,
            sampling=sampling,
            frame=frame,
            settings=settings,
            map_only=map_only,
            seed=running.seed,
            threads=running.jobs,
        ),
        making=Making(
            doing="drawing maps" if map_only else "translating",
            format=format.value,
            read=reading.rules,
            strip=outputs.strip,
        ),
        done="mapped" if map_only else "translated",
        ledger=ledger,
        most_failures=running.most_failures,
        rule_given=outputs.on_exists is not None,
    )
    carry_out(errand, inputs=inputs, outputs=outputs, running=running, talk=talk)


@dataclass(frozen=True, kw_only=True)
class _Opening:
    """Loads the model or the extractor of one command; see ``runners``."""

    models: options.ModelOptions
    sampling: options.SamplingOptions
    frame: options.FrameOptions
    settings: "MapSettings"
    map_only: bool
    seed: int
    threads: int | None

    def __call__(self, seat: "Seat") -> "Session":
        from editar_cli.editor import choose_device, threads_beside
        from editar_cli.runners._runner import Session
        from editar_cli.translator import MapSession, TranslateSession

        maker: MapSession | TranslateSession
        if self.map_only:
            from editar_cli.checkpoints.native import read_config
            from editar_cli.checkpoints.registry import resolve_model

            config = read_config(resolve_model(self.models.model))
            device = choose_device(self.models.device)
            maker = MapSession(self.settings.on(str(device)), config.extractors)
            slots = 1
        else:
            editor = self.models.load()
            chosen = editor.options(
                **self.sampling.given,
                size=self.frame.size.value,
                fit=self.frame.fit_given,
                translating=True,
            )
            maker = TranslateSession(editor, chosen, self.settings, seed=self.seed)
            device = editor.bundle.device
            slots = self.models.at_once or editor.engine.slots(chosen.sampling)
        threads = threads_beside(device) if self.threads is None else self.threads
        return Session(
            maker, slots=slots, threads=threads, place=str(device), notes=tuple(maker.choice.notes)
        )


def _names_a_file(output: str | None) -> bool:
    from editar_cli.images import FORMATS

    return output is not None and Path(output).suffix.lower() in FORMATS


def _list_extractors(mode: str) -> None:
    from editar_cli.modes import load_mode

    for extractor in load_mode(mode).extractors.values():
        size = f", {extractor.download.megabytes} MB" if extractor.download is not None else ""
        state = "here" if extractor.at_hand() else f"not on this machine{size}"
        print(f"{extractor.name}: {extractor.summary} ({state})")
