"""`editar report`, and `--report` of a real run with a tiny model."""

import json
import re

import pytest
from PIL import Image


def records(file):
    text = file.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(data[1])["pictures"]


def without_seconds(entries):
    """The manifest has a picture's time up to the moment just before its file has its name."""
    return [entry | {"seconds": entry["seconds"] is not None} for entry in entries]


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

    # Once more: what was made before stands among the others as it did, and of a run that has
    # nothing to do there is a page too.
    assert call_editar(*words).returncode == 1
    again = records(tmp_path / "out/report.html")
    assert without_seconds(again) == without_seconds(seen)
    assert "<span>3 made earlier</span>" in (tmp_path / "out/report.html").read_text("utf-8")
    (photos / "3.png").unlink()
    assert call_editar(*words).returncode == 0
    assert records(tmp_path / "out/report.html") == [
        entry | {"group": number}
        for number, entry in enumerate(entry for entry in again if entry["status"] == "done")
    ]
    assert "<dt>model</dt><dd>tiny</dd>" in (tmp_path / "out/report.html").read_text("utf-8")


def test_a_picture_that_is_there_and_not_of_ours_is_skipped(
    call_editar, tiny_bundle, photos, tmp_path
):
    Image.new("RGB", (60, 40)).save(photos.parent / "1.png")
    (tmp_path / "out").mkdir()
    (photos.parent / "1.png").rename(tmp_path / "out/1.png")
    model = ("--model", tiny_bundle, "--device", "cpu")
    call_editar("edit", "photos", "x", "-o", "out", "--report", "r.html", *model)
    assert [(entry["name"], entry["status"]) for entry in records(tmp_path / "r.html")] == [
        ("1.png", "skipped"), ("2.png", "done"), ("3.png", "failed"), ("10.png", "done"),
    ]  # fmt: skip


def test_candidates_that_are_kept_are_shown_with_their_scores_also_later(
    call_editar, tiny_bundle, photos, tmp_path
):
    words = (
        "edit", "photos/1.png", "photos/2.png", "x", "--best-of", "3", "--scorer", "ratio",
        "-o", "out/", "--report", "r.html", "--model", tiny_bundle, "--device", "cpu",
    )  # fmt: skip
    assert call_editar(*words, "--candidates", "all").returncode == 0
    seen = records(tmp_path / "r.html")
    for number, entry in enumerate(seen, 1):
        assert [shown["src"] for shown in entry["candidates"]] == [
            f"all/{number}-{candidate}.png" for candidate in (1, 2, 3)
        ]
        scores = [shown["score"] for shown in entry["candidates"]]
        chosen = [shown.get("chosen", False) for shown in entry["candidates"]]
        assert chosen.count(True) == 1
        assert scores[chosen.index(True)] == max(scores)
    # From the manifest: of a run that has nothing to do, and of one that is over.
    assert call_editar(*words).stdout == b""
    later = records(tmp_path / "r.html")
    assert without_seconds(later) == without_seconds(seen)
    assert call_editar("report", "out/manifest.jsonl", "-o", "r.html").returncode == 0
    over = records(tmp_path / "r.html")
    assert [entry["candidates"] for entry in over] == [entry["candidates"] for entry in later]
    (tmp_path / "all/1-2.png").unlink()
    assert call_editar("report", "out/manifest.jsonl", "-o", "r.html").returncode == 0
    assert [shown["label"] for shown in records(tmp_path / "r.html")[0]["candidates"]] == [
        "Candidate 1", "Candidate 3",
    ]  # fmt: skip


def test_paths_of_a_manifest_start_at_its_folder_wherever_one_is(
    call_editar, tiny_bundle, photos, tmp_path, monkeypatch
):
    model = ("--model", tiny_bundle, "--device", "cpu")
    assert call_editar("edit", "photos/1.png", "x", "-o", "out/", *model).returncode == 0
    # Here a picture of the same name lies: the source.
    call_editar("report", "out/manifest.jsonl", "-o", "r.html")
    first = records(tmp_path / "r.html")
    (tmp_path / "1.png").hardlink_to(photos / "2.png")
    call_editar("report", "out/manifest.jsonl", "-o", "r.html")
    assert records(tmp_path / "r.html") == first
    assert first[0]["after"]["src"] == "out/1.png"


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
