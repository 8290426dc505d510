"""`editar report`, and `--report` of a real run with a tiny model."""

import json
import re

import pytest
from PIL import Image


def records(file):
    text = file.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(data[1])["pictures"]


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for n in (1, 2, 10):
        Image.new("RGB", (60, 40), (40 * n % 256, 90, 30)).save(tmp_path / f"photos/{n}.png")
    (tmp_path / "photos/3.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_a_run_writes_its_page_also_after_failures(call_editar, tiny_bundle, photos, tmp_path):
    model = ("--model", tiny_bundle, "--device", "cpu")
    words = ("edit", "photos", "at night", "-o", "out", "--report", "out/report.html", *model)
    result = call_editar(*words)
    assert result.returncode == 1
    assert "report: out/report.html" in result.stderr.decode().splitlines()
    assert b"report" not in result.stdout
    seen = records(tmp_path / "out/report.html")
    assert [(entry["name"], entry["status"]) for entry in seen] == [
        ("1.png", "done"), ("2.png", "done"), ("3.png", "failed"), ("10.png", "done"),
    ]  # fmt: skip
    assert seen[0]["befores"][0]["src"] == "../photos/1.png"
    assert seen[0]["after"]["src"] == "1.png"
    assert "not a picture" in seen[2]["error"]
    assert "<dt>model</dt><dd>tiny</dd>" in (tmp_path / "out/report.html").read_text("utf-8")

    # Once more: what is skipped stands among the others, and a page alone is still a page.
    again = call_editar(*words)
    assert again.returncode == 1
    assert [entry["status"] for entry in records(tmp_path / "out/report.html")] == [
        "skipped", "skipped", "failed", "skipped",
    ]  # fmt: skip
    (photos / "3.png").unlink()
    assert call_editar(*words).returncode == 0
    assert len(records(tmp_path / "out/report.html")) == 3


def test_a_translation_shows_its_map(call_editar, tiny_bundle, photos, tmp_path):
    words = ("translate", "--mode", "canny", "photos/1.png", "a lake", "--save-map", "maps")
    result = call_editar(
        *words, "--report", "r.html", "--preview", "--model", tiny_bundle, "--device", "cpu"
    )
    assert result.returncode == 0, result.stderr
    (entry,) = records(tmp_path / "r.html")
    assert [shown["label"] for shown in entry["befores"]] == ["Before", "Map"]
    assert entry["befores"][1]["src"] == "maps/1.png"
    assert [shown["label"] for shown in entry["more"]] == ["Preview"]
    assert entry["text"] == "a lake"


def test_a_page_that_cannot_be_written_is_a_failure(call_editar, tiny_bundle, photos, tmp_path):
    result = call_editar(
        "edit", "photos/1.png", "x", "--report", "photos/2.png/report.html",
        "--model", tiny_bundle, "--device", "cpu",
    )  # fmt: skip
    assert result.returncode == 1
    assert b"--report" in result.stderr
    assert b"Traceback" not in result.stderr
    assert (tmp_path / "photos/1.edited.png").exists()


def test_a_page_cannot_take_the_name_of_a_picture(call_editar, photos, tmp_path):
    before = (photos / "2.png").read_bytes()
    for words in (("edit", "photos/1.png", "x", "--report"), ("report", "run.jsonl", "-o")):
        result = call_editar(*words, "photos/2.png")
        assert result.returncode == 2
        assert b"must end in .html" in result.stderr
    assert (photos / "2.png").read_bytes() == before


def test_a_dry_run_writes_no_page(call_editar, photos, tmp_path):
    assert call_editar("edit", "photos", "x", "--report", "r.html", "--dry-run").returncode == 0
    assert not (tmp_path / "r.html").exists()


def test_a_page_is_made_of_saved_json_from_here_or_from_beside_the_file(
    call_editar, photos, tmp_path
):
    line = {"input": "photos/1.png", "output": "photos/2.png", "status": "done", "settings": {
        "model": "mini", "seed": 1}}  # fmt: skip
    other = line | {"output": "photos/10.png", "settings": {"model": "mini", "seed": 2}}
    (tmp_path / "run.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(other)}\n")
    result = call_editar("report", "run.jsonl")
    assert (result.returncode, result.stdout) == (0, b"report.html\n")
    assert [entry["after"]["src"] for entry in records(tmp_path / "report.html")] == [
        "photos/2.png", "photos/10.png",
    ]  # fmt: skip
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<dt>model</dt><dd>mini</dd>" in text
    assert "<dt>seed</dt>" not in text

    lines = [line | {"input": f"{n}.png", "output": f"{n}.png"} for n in (1, 2)]
    (photos / "run.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert call_editar("report", "photos/run.jsonl", "-o", "r.html", "--embed").returncode == 0
    assert all(e["after"]["src"].startswith("data:image/") for e in records(tmp_path / "r.html"))


def test_no_records_are_wrong_usage(call_editar, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    result = call_editar("report", "empty.jsonl")
    assert result.returncode == 2
    assert b"holds no records" in result.stderr
