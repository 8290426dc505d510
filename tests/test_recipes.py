"""The shell lines of examples/README.md do what they say, as they stand there."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Shell

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PICTURES = ("mountain", "coast", "marsh", "town/city")


def blocks() -> dict[str, str]:
    """Heading -> the shell lines of the block below it, in order."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    heading = ""
    # A "#" at the start of a line is a heading outside of a block only.
    for block, title in re.findall(r"^```sh\n(.*?)^```$|^#+ (.*?)$", text, re.M | re.S):
        if title:
            heading = title
        else:
            assert heading not in found, heading
            found[heading] = block
    return found


BLOCKS = blocks()
START = BLOCKS["Recipes"]

# Heading -> pictures that are there afterwards.
MADE = {
    "Example pictures": {
        "examples/mountain.edited.jpg",
        "sketch.jpg",
        *(f"night/{name}.jpg" for name in ("city", "coast", "marsh", "mountain")),
        *(f"examples.canny/{name}.jpg" for name in ("city", "coast", "marsh", "mountain")),
        *(f"examples.canny/{name}.preview.jpg" for name in ("city", "coast", "marsh", "mountain")),
        *(f"foggy/{name}.jpg" for name in ("city", "coast", "marsh", "mountain")),
    },
    "A tree of folders, and a page to look through": {f"snowy/{name}.jpg" for name in PICTURES},
    "Two edits, one after the other": {"out.jpg"},
    "A list with an instruction, a mask and a seed for each picture": {
        "made/coast.png",
        "made/marsh.jpg",
        "made/city.jpg",
    },
    "A folder of masks": {f"skies/{name}.png" for name in PICTURES},
    "A part of a picture": {"half.png"},
    "Several results to choose from, on a sheet": {
        *(f"choices/{name}-{number}.jpg" for name in ("coast", "marsh") for number in range(1, 5)),
        "sheet.jpg",
    },
    "The best of four": {"best.jpg", *(f"all/coast-{number}.jpg" for number in range(1, 5))},
    "Pictures that find picks, and a list of those that failed": {
        f"grey/photos/{name}.jpg" for name in PICTURES
    },
    "One folder, two processes": {f"sepia/{name}.jpg" for name in PICTURES},
    "Going on after a crash": {f"night/{name}.jpg" for name in PICTURES},
    "The same settings again": {
        *(f"one/{name}.jpg" for name in ("mountain", "coast", "marsh")),
        "two/city.jpg",
    },
    "Edges of a whole folder, and pictures from them": {
        *(f"edges/{name}.png" for name in PICTURES),
        *(f"villages/{name}.jpg" for name in PICTURES),
    },
}


def test_every_recipe_is_tried():
    assert set(BLOCKS) == {*MADE, "Recipes"}


@pytest.mark.slow
@pytest.mark.parametrize("heading", MADE)
def test_a_recipe_does_what_it_says(shell: Shell, tmp_path: Path, heading: str):
    if "jq" in BLOCKS[heading] and shutil.which("jq") is None:
        pytest.skip("jq is not here")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    if heading != "Example pictures":
        assert shell(START).returncode == 0
    before = pictures(tmp_path)
    result = shell(BLOCKS[heading])
    assert result.returncode == 0, result.stderr
    made = pictures(tmp_path) - before
    assert made == MADE[heading]
    for name in made:
        with Image.open(tmp_path / name) as image:
            image.load()
            if not name.endswith((".preview.jpg", "sheet.jpg")):
                assert image.size == (720, 360)
    check(heading, tmp_path, result.stdout)


def pictures(folder: Path) -> set[str]:
    files = (file for file in folder.rglob("*") if file.suffix in (".jpg", ".png"))
    return {file.relative_to(folder).as_posix() for file in files}


def check(heading: str, folder: Path, out: str) -> None:
    """What a recipe promises beside its pictures."""
    if heading.startswith("A tree"):
        assert "coast.jpg" in (folder / "snowy/report.html").read_text(encoding="utf-8")
    if heading.startswith("A list"):
        from editar_cli.metadata import how_made

        made = {name: how_made(folder / f"made/{name}") for name in ("coast.png", "city.jpg")}
        assert made["city.jpg"]["instruction"] == "at night"
        assert (made["coast.png"]["instruction"], made["coast.png"]["mask"]) == (
            "at sunset",
            "upper.pgm",
        )
    if heading == "The best of four":
        told = json.loads(out)
        assert len(told["scores"]) == 4
        assert told["candidates"] == [f"all/coast-{number}.jpg" for number in range(1, 5)]
    if heading.startswith("Pictures that find picks"):
        assert (folder / "failed.txt").read_text() == ""
    if heading.startswith("The same settings"):
        (line,) = (folder / "two/manifest.jsonl").read_text().splitlines()
        settings = json.loads(line)["settings"]
        assert (settings["guidance"], settings["seed"]) == (4.0, 11)
