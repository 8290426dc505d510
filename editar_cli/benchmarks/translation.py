"""`bench translate`: does the output have the map that was asked for?

A map is made of each photograph at the model's size, the model writes a picture for it, and the
same extractor is run on that picture: how well do the two maps agree, by the mode's own measure
(`editar_cli.modes`)? Two figures stand beside it. What the tokenizer alone makes of the real
photograph has a map too: no model that writes its codes can be expected to do better. And the maps
of all outputs are compared with the maps of other photographs: so much agreement is chance. Nothing
has to be downloaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from editar_cli import images
from editar_cli.editor import EditOptions, Editor, to_numpy
from editar_cli.errors import EditarError
from editar_cli.geometry import Fit
from editar_cli.modes._mode import Picture
from editar_cli.modes._settings import MapSettings
from editar_cli.pipeline import NO_MEMORY
from editar_cli.translator import TranslateSession, to_model

SHIFTS = (1, 7, 13, 19)
"""The output of photograph i is compared with the maps of photographs i + each of these."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One photograph in one mode: figures by name, for each of the three comparisons."""

    photo: str
    mode: str
    extractor: str
    seed: int
    output: dict[str, float]
    shuffled: dict[str, float]
    tokenizer: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ModeResult:
    """One mode over all photographs: means of the rows' figures, and the pictures of the sheet.

    `sheet` has photograph, map and output of a few photographs.
    """

    mode: str
    extractor: str
    photos: int
    output: dict[str, float]
    shuffled: dict[str, float]
    tokenizer: dict[str, float]
    rows: list[Row]
    sheet: list[tuple[Picture, Picture, Picture]]


def run_mode(
    photos: Mapping[str, Picture],
    editor: Editor,
    options: EditOptions,
    settings: MapSettings,
    *,
    captions: Mapping[str, str],
    seed: int,
    slots: int,
    sheet_photos: int = 6,
    on_progress: Callable[[float, str], None] | None = None,
) -> ModeResult:
    """Translate every photograph and compare maps.

    Args:
        photos: name -> HWC uint8 RGB; at least two.
        editor: the model.
        options: its sampling and fit.
        settings: mode and extractor.
        captions: by name; a missing one is empty.
        seed: of the codes.
        slots: pictures at once; halved where memory runs out.
        sheet_photos: how many photographs, evenly spaced, leave their pictures for the sheet.
        on_progress: told how many are done, fractions included, and what is going on.

    Raises:
        ModelError: the extractor cannot be loaded.
        EditarError: memory ran out with one picture at a time.
    """
    assert len(photos) >= 2
    session = TranslateSession(editor, options, settings, seed=seed)
    names = list(photos)
    size, fit = editor.config.image_size, options.fit
    sources = [images.Source(name=name, pixels=photos[name]) for name in names]
    given = [session.maps.for_model(source, size, fit).square for source in sources]
    seeds = [session.picture_seed(f"{settings.mode}/{name}") for name in names]
    prompts = [session.choice.mode.prompt + captions.get(name, "") for name in names]

    def on_step(done: int, in_all: int) -> None:
        if on_progress is not None:
            on_progress(len(names) * done / in_all, settings.mode)

    squares = torch.from_numpy(np.stack([to_model(square) for square in given]))
    try:
        edit = editor.engine.edit(squares, prompts, seeds, options.sampling, on_step, slots=slots)
    except MemoryError as error:
        raise EditarError(NO_MEMORY) from error
    outputs = [images.to_pixels(square) for square in to_numpy(edit.decoded_edited)]
    rebuilt: list[Picture] = []
    for source in sources:
        real = torch.from_numpy(images.prepare(source, size, fit))[None]
        back = editor.engine.detokenize(editor.engine.encode(real))
        rebuilt.append(images.to_pixels(to_numpy(back)[0]))
    made, again = ([session.maps.styled_map(p) for p in these] for these in (outputs, rebuilt))
    agreement = session.choice.mode.agreement
    rows = []
    for i, name in enumerate(names):
        others = [given[(i + shift) % len(names)] for shift in SHIFTS if shift % len(names)]
        rows.append(
            Row(
                photo=name,
                mode=settings.mode,
                extractor=session.choice.extractor.name,
                seed=seeds[i],
                output=agreement(given[i], made[i]),
                shuffled=_means([agreement(other, made[i]) for other in others]),
                tokenizer=agreement(given[i], again[i]),
            )
        )
    count = min(sheet_photos, len(names))
    shown = [i * len(names) // count for i in range(count)]
    return ModeResult(
        mode=settings.mode,
        extractor=session.choice.extractor.name,
        photos=len(names),
        output=_means([row.output for row in rows]),
        shuffled=_means([row.shuffled for row in rows]),
        tokenizer=_means([row.tokenizer for row in rows]),
        rows=rows,
        sheet=[(_seen(sources[i], size, fit), given[i], outputs[i]) for i in shown],
    )


def figures(results: Sequence[ModeResult]) -> list[tuple[str, ...]]:
    """Rows under `HEADERS`: every figure of every mode."""
    return [
        (
            f"{result.mode} ({result.extractor})",
            name.replace("_", " "),
            str(result.photos),
            f"{value:.3f}",
            f"{result.shuffled[name]:.3f}",
            f"{result.tokenizer[name]:.3f}",
        )
        for result in results
        for name, value in result.output.items()
    ]


HEADERS = ("mode", "figure", "photos", "output", "shuffled", "tokenizer")


def _seen(source: images.Source, size: int, fit: Fit) -> Picture:
    """The photograph as the model would see it."""
    return images.to_pixels(images.prepare(source, size, fit))


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
