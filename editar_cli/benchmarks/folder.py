"""``bench folder``: any results, scored against whatever there is to compare them with.

Sources tell what is kept (outside masks, where there are masks), targets how near the truth is,
prompts how well a result fits its text, maps how well it follows them, and a set of photographs how
real results look as a set. Figures have the names and definitions that they have in the other
benchmarks; what only this one has is named after what it compares with.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from editar_cli import images
from editar_cli.benchmarks.hub_data import MapCase
from editar_cli.benchmarks.maps import FID, Judge, MapBenchmark, SetDistance, square
from editar_cli.benchmarks.networks import Networks
from editar_cli.benchmarks.results import Column, Row
from editar_cli.benchmarks.statistics import Mean
from editar_cli.discovery import natural_key
from editar_cli.errors import ImageError, UsageError
from editar_cli.masks import read_mask
from editar_cli.metrics.pixels import compare_pixels
from editar_cli.modes._mode import Picture

PARTS = ("source", "mask", "target", "map")
"""Pictures that a result may have beside it."""
_EDITED = 127
"""Above it a mask's pixel may change."""


@dataclass(frozen=True, kw_only=True)
class FolderCase:
    """One result and what it is compared with.

    Args:
        key: its name.
        output: the result.
        source, mask, target, map: pictures, or ``None`` where there is none.
        prompt: what it should show, or ``None``.
    """

    key: str
    output: Path
    source: Path | None = None
    mask: Path | None = None
    target: Path | None = None
    map: Path | None = None
    prompt: str | None = None


def match_names(
    results: Path, folders: Mapping[str, Path], prompts: Path | None = None
) -> list[FolderCase]:
    """Results of a folder with the pictures of the same names in others, whatever their extension.

    Args:
        results: the folder.
        folders: by what they hold: names of ``PARTS``.
        prompts: a folder of text files, one for each result.

    Raises:
        UsageError: a folder is missing, has two pictures of one name, or holds none of any result.
    """
    outputs = _by_name(results, "results")
    if not outputs:
        raise UsageError(f"{results}: holds no pictures")
    parts = {part: _by_name(folder, f"--{part}s") for part, folder in folders.items()}
    for part, found in parts.items():
        if not found.keys() & outputs.keys():
            raise UsageError(
                f"--{part}s {folders[part]}: holds no picture of the name of any result, such as "
                f"{next(iter(outputs))}"
            )
    texts = {} if prompts is None else _texts(prompts)
    if prompts is not None and not texts.keys() & outputs.keys():
        raise UsageError(f"--prompts {prompts}: holds no text file of the name of any result")
    return [
        FolderCase(
            key=name,
            output=path,
            prompt=texts.get(name),
            **{part: found.get(name) for part, found in parts.items()},
        )
        for name, path in outputs.items()
    ]


def read_table(table: Path, results: Path) -> list[FolderCase]:
    """Rows of a CSV file with the columns ``output``, and ``source``, ``mask``, ``target``,
    ``map`` and ``prompt`` where they are needed.

    Outputs are relative to the folder of results, all else to the table's own folder.

    Raises:
        UsageError: it cannot be read, has no column ``output``, or names a file that is not there.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            rows = list(reader)
            columns = [name.strip().lower() for name in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--table {table}: cannot be read: {error}") from error
    if "output" not in columns:
        raise UsageError(
            f"--table {table}: its first line must name the columns, output among them; it has "
            f"{', '.join(columns) or 'none'}"
        )
    if unknown := set(columns) - {"output", "prompt", *PARTS}:
        raise UsageError(
            f"--table {table}: has a column {sorted(unknown)[0]}; known are output, "
            f"{', '.join(PARTS)} and prompt"
        )
    cases = []
    for number, row in enumerate(rows, 2):
        values = {
            (name or "").strip().lower(): value.strip()
            for name, value in row.items()
            if isinstance(value, str) and value.strip()
        }
        if "output" not in values:
            raise UsageError(f"--table {table}:{number}: names no output")
        files = {part: table.parent / values[part] for part in PARTS if part in values}
        if gone := next((file for file in files.values() if not file.is_file()), None):
            raise UsageError(f"--table {table}:{number}: {gone}: no such file")
        cases.append(
            FolderCase(
                key=values["output"],
                output=results / values["output"],
                prompt=values.get("prompt"),
                **files,
            )
        )
    if not cases:
        raise UsageError(f"--table {table}: has no rows")
    return cases


class FolderScores:
    """The figures of a folder: ``rows`` first, then ``whole``.

    Args:
        cases: results.
        networks: of the figures.
        mode: of the maps, or ``None`` without maps.
        photos: photographs that FID compares all results with; targets where left out.
    """

    def __init__(
        self,
        cases: Sequence[FolderCase],
        networks: Networks,
        *,
        mode: str | None = None,
        photos: Path | None = None,
    ) -> None:
        self.cases = cases
        self.networks = networks
        self.photos = [] if photos is None else list(_by_name(photos, "--photos").values())
        has = {part: any(getattr(case, part) is not None for case in cases) for part in PARTS}
        self.columns: list[Column] = []
        if has["source"]:
            self.columns.append(
                Column(name="structure_distance", title="Structure x1e3", better="lower", scale=1e3)
            )
            kept = "unedit_part" if has["mask"] else "source"
            self.columns += _likeness(kept, "" if has["mask"] else " to source")
        if has["target"]:
            self.columns += _likeness("target", " to target")
        if any(case.prompt is not None for case in cases):
            whole = Column(name="clip_similarity_target_image", title="CLIP whole", better="higher")
            part = Column(
                name="clip_similarity_target_image_edit_part", title="CLIP edited", better="higher"
            )
            self.columns += [whole, part] if has["mask"] else [whole]
        self.judge: Judge | None = None
        if mode is not None and has["map"]:
            benchmark: MapBenchmark = import_module(f"editar_cli.benchmarks.{mode}").BENCHMARK
            self.judge = benchmark.judge(networks)
            self.columns += [column for column in benchmark.columns if column is not FID]
        self.distance: SetDistance | None = None
        if photos is not None or has["target"]:
            self.distance = SetDistance(networks)
            self.columns.append(FID)
        if not self.columns:
            raise UsageError(
                "nothing to compare results with: give --sources, --targets, --prompts, --maps, "
                "--photos or --table"
            )

    def rows(self) -> Iterator[Row]:
        """One for each result, in order; one that cannot be read is one too."""
        own = [column.name for column in self.columns if not column.of_set]
        for number, case in enumerate(self.cases):
            values: Mapping[str, float | None] = dict.fromkeys(own)
            error = None
            try:
                found = self._figures(number, case)
                values = {name: found.get(name) for name in own}
            except ImageError as reason:
                error = str(reason)
            shown = {part: getattr(case, part) for part in PARTS}
            yield Row(
                key=case.key,
                values=values,
                pictures={
                    **{part: path for part, path in shown.items() if path is not None},
                    "output": case.output,
                },
                text=case.prompt or "",
                facts={} if case.prompt is None else {"prompt": case.prompt},
                error=error,
            )

    def whole(self) -> dict[str, Mean]:
        """Figures of all results together."""
        found = {} if self.judge is None else self.judge.whole()
        if self.distance is not None:
            for path in self.photos:
                self.distance.add_real(square(path))
            found[FID.name] = self.distance.mean(len(self.cases) - self.distance.count)
        return found

    def _figures(self, number: int, case: FolderCase) -> dict[str, float | None]:
        output = images.over_white(images.read_image(case.output))
        found: dict[str, float | None] = {}
        edited = None
        if case.source is not None:
            source = images.over_white(images.read_image(case.source))
            made = _resized(output, source)
            edited = None if case.mask is None else _mask(case.mask, case.source, source)
            structure = self.networks.structure
            found["structure_distance"] = None if structure is None else structure(source, made)
            kept = None if edited is None else ~edited
            found |= self._likeness(
                source, made, kept, "source" if case.mask is None else "unedit_part"
            )
        if case.target is not None:
            target = images.over_white(images.read_image(case.target))
            found |= self._likeness(target, _resized(output, target), None, "target")
        clip = self.networks.clip if case.prompt is not None else None
        if clip is not None and case.prompt is not None:
            found["clip_similarity_target_image"] = clip(output, case.prompt)
            if edited is not None:
                part = np.asarray(
                    Image.fromarray(edited).resize((output.shape[1], output.shape[0]))
                )
                name = "clip_similarity_target_image_edit_part"
                found[name] = clip(output, case.prompt, part)
        seen = square(case.output)
        if self.judge is not None and case.map is not None:
            given = MapCase(number=number, caption="", photo=case.output, map=case.map)
            found |= self.judge.figures(given, seen)
        if self.distance is not None:
            if self.photos:
                self.distance.add_made([seen])
            elif case.target is not None:
                self.distance.add_real(square(case.target))
                self.distance.add_made([seen])
        return found

    def _likeness(
        self,
        other: Picture,
        made: Picture,
        part: NDArray[np.bool_] | None,
        name: str,
    ) -> dict[str, float | None]:
        figures = compare_pixels(other, made, part)
        lpips = self.networks.lpips
        return {
            f"psnr_{name}": None if figures is None else figures.psnr,
            f"lpips_{name}": None if lpips is None else lpips(other, made, part),
            f"mse_{name}": None if figures is None else figures.mse,
            f"ssim_{name}": None if figures is None else figures.ssim,
        }


def _likeness(name: str, title: str) -> list[Column]:
    return [
        Column(name=f"psnr_{name}", title=f"PSNR{title}", better="higher"),
        Column(name=f"lpips_{name}", title=f"LPIPS x1e3{title}", better="lower", scale=1e3),
        Column(name=f"mse_{name}", title=f"MSE x1e4{title}", better="lower", scale=1e4),
        Column(name=f"ssim_{name}", title=f"SSIM x1e2{title}", better="higher", scale=1e2),
    ]


def _resized(output: Picture, like: Picture) -> Picture:
    """A result at another picture's size."""
    if output.shape == like.shape:
        return output
    size = (like.shape[1], like.shape[0])
    return np.asarray(Image.fromarray(output).resize(size, Image.Resampling.LANCZOS))


def _mask(path: Path, source_path: Path, source: Picture) -> NDArray[np.bool_]:
    size = (source.shape[1], source.shape[0])
    return read_mask(path, size, str(source_path), images.ReadOptions()) > _EDITED


def _by_name(folder: Path, flag: str) -> dict[str, Path]:
    """Pictures by their path below the folder, without extension, in natural order."""
    if not folder.is_dir():
        raise UsageError(f"{flag} {folder}: no such folder")
    found: dict[str, Path] = {}
    files = [file for file in folder.rglob("*") if images.is_picture_name(file) and file.is_file()]
    for file in sorted(files, key=lambda file: natural_key(file.as_posix())):
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise UsageError(f"{flag} {folder}: {found[name].name} and {file.name} have one name")
        found[name] = file
    return found


def _texts(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise UsageError(f"--prompts {folder}: no such folder")
    found = {}
    for file in sorted(folder.rglob("*.txt")):
        try:
            text = " ".join(file.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: cannot be read: {error}") from error
        found[file.relative_to(folder).with_suffix("").as_posix()] = text
    return found
