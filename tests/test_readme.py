"""The README's commands are real: files exist, flags exist, and the lines do what they say."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_first_command_installs_and_edits_a_picture_that_is_there():
    install, edit = blocks("sh")[0].strip().split(" && ")
    assert install == "pip install ."
    command, picture, instruction = shlex.split(edit)[1:]
    assert (command, instruction) == ("edit", "make it snowy")
    with Image.open(ROOT / picture) as image:
        assert image.format == "JPEG"


def test_the_second_command_installs_and_passes_the_tests():
    assert blocks("sh")[1].strip() == 'pip install ".[test]" && pytest'


def test_files_the_readme_names_are_there():
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"\]\(([\w/.-]+)\)|`([\w-]+(?:/[\w.-]+)+/?|[A-Z]+)`", text)
    paths = {a or b for a, b in named}
    assert {"docs/images/strip.jpg", "LICENSE"} <= paths
    # What commands write into out/ is not there before they have run.
    paths = {path for path in paths if not path.startswith("out/")}
    assert not [path for path in paths if not (ROOT / path).exists()]


def lines() -> list[str]:
    return [line.split("#")[0].strip() for line in blocks("sh")[2].splitlines()]


@pytest.mark.parametrize("line", lines())
def test_the_worked_lines_work(line, call_editar, tiny_bundle, tmp_path):
    for name in ("in.jpg", "in.png", "sky.png", "photos/a.jpg", "photos/deep/b.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (90, 120, 150)).save(path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    settings = {"EDITAR_MODEL": str(tiny_bundle), "EDITAR_DEVICE": "cpu"}
    if line.startswith("cat "):
        words = shlex.split(line.split("|")[1].split(">")[0])[1:]
        result = call_editar(*words, env=settings, input=(tmp_path / "in.jpg").read_bytes())
        (tmp_path / "out.jpg").write_bytes(result.stdout)
    else:
        result = call_editar(*shlex.split(line)[1:], env=settings)
    assert result.returncode == 0, result.stderr
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    # A folder of results has its record beside them.
    made = {path for path in made if path.name != "manifest.jsonl"}
    assert made
    for path in made:
        with Image.open(path) as image:
            assert image.size == (40, 30)


def test_the_python_lines_run(tiny_bundle, tmp_path, monkeypatch):
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "mountain.jpg")
    code = code.replace('"mini"', repr(str(tiny_bundle)))
    code = code.replace("examples/mountain.jpg", "mountain.jpg")
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    assert Image.open("snowy.jpg").size == (40, 30)
    assert "editar_cli.editor" in sys.modules


@pytest.mark.parametrize(
    "line", [line.split("#")[0].strip() for line in blocks("sh")[3].splitlines()]
)
def test_the_lines_about_maps_work(line, call_editar, mapped_bundle, tmp_path):
    for name in ("in.jpg", "photos/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ramp = np.linspace(0, 255, 40, dtype=np.uint8)[None, :, None].repeat(30, 0).repeat(3, 2)
        ramp[8:20, 10:30] = (200, 40, 30)
        Image.fromarray(ramp).save(path)
    edges = np.zeros((30, 40), np.uint8)
    edges[10] = 255
    Image.fromarray(edges).save(tmp_path / "edges.png")
    (tmp_path / "captions.csv").write_text("image,caption\nedges.png,a shore\n")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    settings = {"EDITAR_MODEL": str(mapped_bundle), "EDITAR_DEVICE": "cpu"}
    result = call_editar(*shlex.split(line)[1:], env=settings)
    assert result.returncode == 0, result.stderr
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    # A folder of results has its record beside them.
    made = {path for path in made if path.name != "manifest.jsonl"}
    assert made
    for path in made:
        with Image.open(path) as image:
            assert image.height == 30
