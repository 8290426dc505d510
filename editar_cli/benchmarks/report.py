"""What `bench mini` and `bench translate` leave in their folders.

::

    results.json   settings, versions, the bundle's sha256 sums, families and rows
    rows.csv       the rows, one per photograph and family
    local.csv      the same of edits of a part of the picture, where there are any
    table.md       the families as a Markdown table, for a model card
    sheet.png      families as rows: for some photographs source, truth and output

`bench translate` leaves results.json, table.md and for each mode sheet-MODE.png: for some
photographs what the model would see of it, the map it was given, and its output.
"""

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from editar_cli import __version__
from editar_cli.benchmarks.local import HEADERS as LOCAL_HEADERS
from editar_cli.benchmarks.local import LocalRow, local_table
from editar_cli.benchmarks.mini import (
    LEAST_CHANGE,
    MEDIAN_BAR,
    SHARE_BAR,
    SINGLE_BAR,
    VISIBLE,
    FamilyResult,
    MiniResult,
    Row,
)
from editar_cli.benchmarks.translation import HEADERS as TRANSLATION_HEADERS
from editar_cli.benchmarks.translation import ModeResult, figures
from editar_cli.checkpoints.native import sha256_of
from editar_cli.synthesis import Photo

RESULTS = "results.json"
TILE = 128
GAP = 4

HEADERS = (
    "family",
    "photos",
    "left out",
    "median ratio",
    "below 0.9",
    "counts",
    "edges",
    "truth edges",
)


def table_rows(families: Sequence[FamilyResult]) -> list[tuple[str, ...]]:
    """The families that a ratio is asked of, best median first, as text under `HEADERS`."""
    judged = [family for family in families if family.counts is not None]
    judged.sort(key=lambda f: (f.median_ratio is None, f.median_ratio))
    return [
        (
            family.family,
            str(family.photos),
            str(family.left_out),
            _number(family.median_ratio),
            "-" if family.share_below is None else f"{100 * family.share_below:.0f} %",
            "yes" if family.counts else "no",
            _number(family.edges),
            _number(family.truth_edges),
        )
        for family in judged
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def identity_lines(families: Sequence[FamilyResult]) -> list[str]:
    """One sentence for each family that asks for nothing."""
    return [
        f"{family.family}: mean distance to the source {family.mean_distance:.2f}, "
        f"{100 * family.changed:.1f} % of pixels visibly changed, {family.photos} photographs"
        for family in families
        if family.mean_distance is not None and family.changed is not None
    ]


def markdown(result: MiniResult) -> str:
    """The families as a Markdown table, with what its figures mean."""
    lines = []
    if result.families:
        lines += _looks(result)
    if result.local_families:
        lines += [
            *([""] if lines else []),
            "Edits of a part of the picture: how many outputs are nearer to the true edit than the "
            "unedited source inside the mask of what may change, the median of the two distances' "
            "ratio, and the median PSNR outside that mask.",
            "",
            "| " + " | ".join(LOCAL_HEADERS) + " |",
            "|---" + "|--:" * (len(LOCAL_HEADERS) - 1) + "|",
            *("| " + " | ".join(row) + " |" for row in local_table(result.local_families)),
        ]
    return "\n".join(lines) + "\n"


def _looks(result: MiniResult) -> list[str]:
    lines = [
        f"{len(result.counted)} of {len(result.judged)} families count: median ratio at most "
        f"{MEDIAN_BAR} and at least {100 * SHARE_BAR:.0f} % of photographs below {SINGLE_BAR}. "
        "The ratio is the output's distance to the true edit over the unedited source's; left out "
        f"are photographs whose true edit changes next to nothing (distance under {LEAST_CHANGE}). "
        "Edges: median F1 of the output's with the source's, and of the truth's own.",
        "",
        "| " + " | ".join(HEADERS) + " |",
        "|---" + "|--:" * (len(HEADERS) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in table_rows(result.families)),
    ]
    for line in identity_lines(result.families):
        lines += ["", f"{line[0].upper()}{line[1:]} (delta E above {VISIBLE:.0f})."]
    return lines


def summary(result: MiniResult) -> dict[str, object]:
    """The figures a script asks for first."""
    ratios = [row.ratio for row in result.rows if row.ratio is not None]
    identities = [family for family in result.families if family.changed is not None]
    local = {
        family.family: {
            "edits": family.edits,
            "nearer": family.nearer,
            "psnr_outside": family.psnr_outside,
        }
        for family in result.local_families
    }
    return {
        "photos": len({r.photo for r in result.rows} | {r.photo for r in result.local_rows}),
        "edits": len(result.rows) + len(result.local_rows),
        "judged": len(ratios),
        "families": len(result.judged),
        "counted": len(result.counted),
        "counting": result.counted,
        "median_ratio": float(np.median(ratios)) if ratios else None,
        "share_below": float(np.mean([r < SINGLE_BAR for r in ratios])) if ratios else None,
        "identity_changed": max((f.changed or 0.0 for f in identities), default=None),
        **({"local": local} if local else {}),
    }


def versions() -> dict[str, str]:
    """Of everything that takes part in the figures."""
    import cv2
    import PIL
    import torch

    return {
        "editar": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "opencv": str(cv2.__version__),
        "pillow": PIL.__version__,
    }


def bundle_sums(bundle: Path) -> dict[str, str]:
    """The sha256 of each file the model was loaded from, by its path in the bundle."""
    files = sorted(bundle.rglob("*"))
    used = [f for f in files if f.is_file() and f.suffix in (".json", ".safetensors")]
    return {file.relative_to(bundle).as_posix(): sha256_of(file) for file in used}


def write_report(folder: Path, result: MiniResult, facts: Mapping[str, object]) -> None:
    """Write all files; results.json comes last, so that where it stands, all stand.

    Args:
        folder: exists.
        result: of `run_mini`.
        facts: go into results.json before the figures: settings, model, sums.

    Raises:
        OSError: a file cannot be written.
    """
    (folder / "rows.csv").write_text(_csv(Row, result.rows), encoding="utf-8")
    if result.local_rows:
        (folder / "local.csv").write_text(_csv(LocalRow, result.local_rows), encoding="utf-8")
    (folder / "table.md").write_text(markdown(result), encoding="utf-8")
    contact_sheet(result.sheet).save(folder / "sheet.png")
    record = {
        "benchmark": "mini",
        **facts,
        "versions": versions(),
        "summary": summary(result),
        "families": [asdict(family) for family in result.families],
        "rows": [asdict(row) for row in result.rows],
        "local_families": [asdict(family) for family in result.local_families],
        "local_rows": [asdict(row) for row in result.local_rows],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / RESULTS).write_text(text + "\n", encoding="utf-8")


def _csv(kind: type[Row] | type[LocalRow], rows: Sequence[Row] | Sequence[LocalRow]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [entry.name for entry in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def write_translation_report(
    folder: Path, results: Sequence[ModeResult], facts: Mapping[str, object]
) -> None:
    """Write what `bench translate` leaves; results.json comes last.

    Args:
        folder: exists.
        results: one for each mode.
        facts: go into results.json before the figures.

    Raises:
        OSError: a file cannot be written.
    """
    table = [
        "| " + " | ".join(TRANSLATION_HEADERS) + " |",
        "|---|---" + "|--:" * (len(TRANSLATION_HEADERS) - 2) + "|",
        *("| " + " | ".join(row) + " |" for row in figures(results)),
    ]
    (folder / "table.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    modes = []
    for result in results:
        record = {name: value for name, value in vars(result).items() if name != "sheet"}
        modes.append({**record, "rows": [asdict(row) for row in result.rows]})
        tiles = [np.concatenate(pictures, axis=1) for pictures in result.sheet]
        tiles += [np.full_like(tiles[0], 255)] * (len(tiles) % 2)
        rows = [np.concatenate(tiles[i : i + 2], axis=1) for i in range(0, len(tiles), 2)]
        Image.fromarray(np.concatenate(rows)).save(folder / f"sheet-{result.mode}.png")
    text = {"benchmark": "translate", **facts, "versions": versions(), "modes": modes}
    (folder / RESULTS).write_text(
        json.dumps(text, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def contact_sheet(rows: Mapping[str, Sequence[tuple[Photo, Photo, Photo]]]) -> Image.Image:
    """Named rows of (source, truth, output): whole frames, their long sides `TILE` px."""
    tiles = {
        name: [[_tile(pixels) for pixels in pictures] for pictures in row]
        for name, row in rows.items()
    }
    height = max(tile.height for row in tiles.values() for group in row for tile in group)
    groups = max(len(row) for row in rows.values())
    group = 3 * (TILE + GAP) + 2 * GAP
    label = TILE
    sheet = Image.new("RGB", (label + groups * group, 16 + len(rows) * (height + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for x in range(groups):
        for i, title in enumerate(("source", "truth", "output")):
            draw.text((label + x * group + i * (TILE + GAP), 2), title, fill="black")
    for y, (name, row) in enumerate(tiles.items()):
        top = 16 + y * (height + GAP)
        draw.text((4, top + height // 2 - 6), name.replace("_", " "), fill="black")
        for x, pictures in enumerate(row):
            for i, tile in enumerate(pictures):
                left = label + x * group + i * (TILE + GAP)
                place = left + (TILE - tile.width) // 2, top + (height - tile.height) // 2
                sheet.paste(tile, place)
    return sheet


def _tile(pixels: Photo) -> Image.Image:
    tile = Image.fromarray(pixels)
    tile.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
    return tile
