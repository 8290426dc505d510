import json
import os
import re
import shutil
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from editar_cli.errors import EditarError, UsageError
from editar_cli.report import Heading, read_records, url_from, write_report

FACTS = {"model": "mini", "fit": "stretch", "top_k": 64, "preserve": True, "image_guidance": None}


class Page(HTMLParser):
    """What a browser sees of a page: elements, their texts, and the data for the script."""

    def __init__(self, file):
        super().__init__()
        self.elements = []
        self.texts = {}
        self.inside = None
        self.feed(file.read_text(encoding="utf-8"))
        self.close()
        self.data = json.loads(self.texts[("script", "data")])["pictures"]

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self.inside = (tag, attributes["id"]) if "id" in attributes else tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside is not None:
            self.texts[self.inside] = self.texts.get(self.inside, "") + data


def picture(path, size=(60, 40), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(more.pop("mode", "RGB"), size, more.pop("color", 90)).save(path, **more)
    return path


def done(name="in.jpg", output="out.jpg", **more):
    return {"input": str(name), "output": str(output), "status": "done", "instruction": "x"} | more


@pytest.fixture
def page(tmp_path):
    """The page of some records in ``tmp_path``."""

    def write(*records, heading=None, file="report.html", **more):
        heading = heading or Heading(facts=FACTS)
        write_report(tmp_path / file, records, heading, base=tmp_path, **more)
        return Page(tmp_path / file)

    return write


def test_a_record_becomes_a_picture_of_the_page(page, tmp_path):
    picture(tmp_path / "photos/in.jpg")
    picture(tmp_path / "out/in.jpg")
    record = done(
        "photos/in.jpg", "out/in.jpg", seed=2**63 + 1, seconds=1.25, notes=["was cut"], error=None
    )
    (entry,) = page(record).data
    assert entry["name"] == "in.jpg"
    assert entry["path"] == "photos/in.jpg"
    assert entry["befores"] == [
        {"label": "Before", "href": "photos/in.jpg", "w": 60, "h": 40, "src": "photos/in.jpg"}
    ]
    assert entry["after"]["src"] == "out/in.jpg"
    # As text: a number would lose its last digits in JavaScript.
    assert entry["seed"] == str(2**63 + 1)
    assert (entry["seconds"], entry["notes"], entry["status"]) == (1.25, ["was cut"], "done")
    assert not (tmp_path / "report_files").exists()


def test_the_heading_says_what_was_done_with_what_and_when(page, tmp_path):
    records = [done(status=status) for status in ("done", "done", "failed", "skipped")]
    ended = datetime(2026, 3, 9, 14, 5)
    heading = Heading(facts=FACTS, ended=ended, seconds=4000, note="Stopped before the end.")
    seen = page(*(r | {"instruction": "at night"} for r in records), heading=heading)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert seen.texts["title"] == seen.texts["h1"] == "\u201cat night\u201d"
    facts = re.search(r'<p class="facts">(.*?)</p>', text)[1]
    assert re.findall("<span>(.*?)</span>", facts) == [
        "4 pictures", "1 failed", "1 skipped", "model mini", "9 March 2026, 14:05", "1 h 6 min",
    ]  # fmt: skip
    assert '<p class="note">Stopped before the end.</p>' in text
    assert "<dt>top k</dt><dd>64</dd>" in text
    assert "<dt>preserve</dt><dd>on</dd>" in text
    assert "<dt>image guidance</dt><dd>off</dd>" in text


def test_different_texts_are_no_title(page):
    assert page(done(), done(instruction="y")).texts["h1"] == "Edited pictures"
    translated = {"input": "a", "output": "b", "status": "failed", "caption": ""}
    heading = Heading(facts={"mode": "depth"})
    assert page(translated, heading=heading).texts["h1"] == "Translated pictures"


HOSTILE = "</script><script>alert(1)</script><!-- & \" ' \u2028 {{data}} \\"


def test_nothing_that_a_person_or_a_file_says_becomes_markup(page, tmp_path):
    plain = page(done())
    heading = Heading(facts={"model": HOSTILE, HOSTILE: [HOSTILE]}, note=HOSTILE)
    record = done(
        HOSTILE.replace("/", ""), HOSTILE, instruction=HOSTILE, error=HOSTILE, notes=[HOSTILE]
    )
    seen = page(record | {"status": "failed"}, heading=heading)
    assert seen.data[0]["text"] == seen.data[0]["error"] == HOSTILE
    assert seen.data[0]["notes"] == [HOSTILE]
    assert seen.texts["title"] == f"\u201c{HOSTILE}\u201d"
    tags = [tag for tag, _ in seen.elements]
    assert tags.count("script") == [tag for tag, _ in plain.elements].count("script") == 2
    assert "\u2028" not in (tmp_path / "report.html").read_text("utf-8").split('id="data">')[1]


def test_the_page_loads_nothing_from_elsewhere_and_runs_its_own_script_only(page, tmp_path):
    seen = page(done())
    for tag, attributes in seen.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        assert not {"src", "href", "onclick", "onload"} & attributes.keys()
    text = (tmp_path / "report.html").read_text("utf-8")
    addresses = set(re.findall(r"https?://[^\s'\"]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    (policy,) = (a["content"] for _, a in seen.elements if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


POSIX = pytest.mark.skipif("os.sep != '/'", reason="names that only POSIX systems have")


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("a b.jpg", "a%20b.jpg"),
        ("100%.jpg", "100%25.jpg"),
        ("#1?.jpg", "%231%3F.jpg"),
        ("caf\u00e9.jpg", "caf%C3%A9.jpg"),
        ("a:b.jpg", "a%3Ab.jpg"),
        ("../up/in.jpg", "../up/in.jpg"),
        ('"<x>&.jpg', "%22%3Cx%3E%26.jpg"),
        pytest.param("back\\slash.jpg", "back%5Cslash.jpg", marks=POSIX),
        pytest.param("no\udce9.jpg", "no%E9.jpg", marks=POSIX),
    ],
)  # fmt: skip
def test_links_are_relative_and_survive_any_name(name, link):
    folder = Path(os.path.abspath("/some/place"))
    assert url_from(folder, folder / name) == link


def test_a_file_on_another_drive_has_a_link_from_the_root(monkeypatch):
    def no_way(*paths):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", no_way)
    target = Path(os.path.abspath("/other/a b.jpg"))
    assert url_from(Path(os.path.abspath("/some")), target) == target.as_uri()


def test_the_page_may_stand_apart_from_its_pictures(page, tmp_path):
    picture(tmp_path / "photos/in.jpg")
    picture(tmp_path / "out/in.jpg")
    record = done("photos/in.jpg", tmp_path / "out/in.jpg")
    (entry,) = page(record, file="deep/er/report.html").data
    for shown, file in ((entry["befores"][0], "photos/in.jpg"), (entry["after"], "out/in.jpg")):
        target = tmp_path / "deep/er" / unquote(shown["src"])
        assert target.resolve() == (tmp_path / file).resolve()


def test_what_browsers_do_not_show_is_copied_upright_once(page, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.full((40, 60), 40000, np.uint16)
    picture(tmp_path / "a.tif")
    picture(tmp_path / "b.ppm")
    picture(tmp_path / "c.jpg", mode="CMYK", color=(0, 0, 0, 100))
    picture(tmp_path / "d.png", exif=exif)
    Image.fromarray(grey).save(tmp_path / "e.tif")
    picture(tmp_path / "f.tif", mode="RGBA", color=(1, 2, 3, 9))
    picture(tmp_path / "g.jpg", size=(2500, 1700))
    picture(tmp_path / "h.jpg", exif=exif)
    names = ["a.tif", "b.ppm", "c.jpg", "d.png", "e.tif", "f.tif", "g.jpg", "h.jpg"]
    records = [done(name, name.replace(".", "-out.")) for name in names]
    shown = {entry["path"]: entry["befores"][0] for entry in page(*records).data}
    assert shown["h.jpg"]["src"] == "h.jpg"
    assert (shown["h.jpg"]["w"], shown["h.jpg"]["h"]) == (40, 60)
    assert shown["g.jpg"]["full"] == "g.jpg"
    copies = {name: tmp_path / shown[name]["src"] for name in names[:-1]}
    assert {copy.parent.name for copy in copies.values()} == {"report_files"}
    assert copies["f.tif"].suffix == ".webp"
    assert shown["f.tif"]["alpha"] is True
    with Image.open(copies["g.jpg"]) as copy:
        assert copy.size == (1600, 1088)
    with Image.open(copies["d.png"]) as copy:
        assert copy.size == (40, 60) == (shown["d.png"]["w"], shown["d.png"]["h"])
    with Image.open(copies["e.tif"]) as copy:
        assert copy.convert("RGB").getpixel((5, 5)) == pytest.approx((156,) * 3, abs=2)
    with Image.open(copies["c.jpg"]) as copy:
        assert copy.mode == "RGB"

    times = {copy: copy.stat().st_mtime_ns for copy in copies.values()}
    page(*records)
    assert times == {copy: copy.stat().st_mtime_ns for copy in copies.values()}
    (tmp_path / "report_files/of the person.jpg").write_bytes(b"")
    page(*records[:1])
    left = {file.name for file in (tmp_path / "report_files").iterdir()}
    assert left == {copies["a.tif"].name, "of the person.jpg"}


def test_an_embedded_page_needs_no_other_file(page, tmp_path):
    picture(tmp_path / "in.jpg", size=(2500, 1700))
    picture(tmp_path / "out.tif", mode="RGBA", color=(1, 2, 3, 9))
    (entry,) = page(done(output="out.tif"), embed=True).data
    assert entry["befores"][0]["src"].startswith("data:image/jpeg;base64,")
    assert entry["after"]["src"].startswith("data:image/webp;base64,")
    assert not (tmp_path / "report_files").exists()


def test_failures_have_a_reason_and_what_is_known_of_the_source(page, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    picture(tmp_path / "good.jpg")
    bad, good, gone = page(
        done("bad.jpg", status="failed", error="bad.jpg: not a picture"),
        done("good.jpg", "out.jpg", status="failed", error="memory ran out"),
        done("gone.jpg", "out.jpg"),
    ).data
    assert (bad["status"], bad["error"]) == ("failed", "bad.jpg: not a picture")
    assert "src" not in bad["befores"][0]
    assert good["befores"][0]["src"] == "good.jpg"
    # What an earlier run left at the output's place is not the result.
    assert good["after"] is None
    assert "src" not in gone["befores"][0]
    assert "gone.jpg" in gone["why"]


def test_pictures_of_pipes_and_pictures_edited_in_place_have_no_before(page, tmp_path):
    picture(tmp_path / "in.jpg")
    pipe, half, place = page(done("-", "-"), done("-", "in.jpg"), done("in.jpg", "in.jpg")).data
    assert (pipe["befores"], pipe["after"], pipe["name"]) == ([], None, "standard input")
    assert "standard output" in pipe["why"]
    assert half["befores"] == []
    assert half["after"]["src"] == "in.jpg"
    assert "standard input" in half["why"]
    assert (place["befores"], place["after"]["src"]) == ([], "in.jpg")
    assert "in place" in place["why"]
    assert pipe["of"] == half["of"] == 1


def test_variations_stand_together_and_share_their_map(page, tmp_path):
    for name in ("a.jpg", "a.png"):
        picture(tmp_path / name)
    records = [
        done("a.jpg", "a-1.jpg", variation=1, map="a.png"),
        done("b.jpg", "b-1.jpg", variation=1),
        done("a.jpg", "a-2.jpg", variation=2),
    ]
    entries = page(*records).data
    assert [(entry["name"], entry["nth"], entry["of"]) for entry in entries] == [
        ("a.jpg", 1, 2), ("a.jpg", 2, 2), ("b.jpg", 1, 1),
    ]  # fmt: skip
    assert [[shown["label"] for shown in entry["befores"]] for entry in entries] == [
        ["Before", "Map"], ["Before", "Map"], ["Before"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fit", "size", "lies"),
    [
        ("crop", (40, 40), "cover"),
        ("pad", (32, 32), "contain"),
        ("stretch", (32, 32), "fill"),
        ("crop", (60, 40), "fill"),
        ("pad", (30, 20), "fill"),
        ("crop", (59, 40), "fill"),
    ],
)
def test_source_and_output_lie_over_each_other_as_the_model_saw_them(
    page, tmp_path, fit, size, lies
):
    picture(tmp_path / "in.jpg")
    picture(tmp_path / "out.jpg", size=size)
    (entry,) = page(done(), heading=Heading(facts={"fit": fit})).data
    assert entry["fit"] == lies
    (entry,) = page(done(settings={"fit": fit}), heading=Heading(facts={"fit": "x"})).data
    assert entry["fit"] == lies


def test_names_are_shown_from_the_folder_that_all_share(page):
    def names(*inputs):
        return [entry["name"] for entry in page(*(done(name) for name in inputs)).data]

    assert names("photos/a.jpg", "photos/deep/b.jpg") == ["a.jpg", os.path.join("deep", "b.jpg")]
    assert names("a.jpg", "photos/b.jpg") == ["a.jpg", "photos/b.jpg"]
    assert names("/one/a.jpg", "b.jpg") == ["/one/a.jpg", "b.jpg"]
    assert names("a.jpg") == ["a.jpg"]


def test_five_thousand_records_are_a_page_of_a_few_megabytes(page, tmp_path):
    picture(tmp_path / "in.jpg")
    records = (done("in.jpg", f"out/{n}.jpg", seed=2**62 + n, seconds=1.0) for n in range(5000))
    assert len(page(*records).data) == 5000
    assert (tmp_path / "report.html").stat().st_size < 4e6


def test_a_page_that_cannot_be_written_is_told_and_the_old_one_stays(page, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(EditarError, match=r"--report .*report\.html: cannot be written"):
        page(done(), file="file/report.html")
    page(done())
    before = (tmp_path / "report.html").read_bytes()
    assert shutil.copy(tmp_path / "report.html", tmp_path / "copy.html")
    page(done())
    assert (tmp_path / "report.html").read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_records_are_read_back_with_the_last_word_on_each_output(tmp_path):
    lines = [
        done(output="a.jpg", status="failed", error="no memory"),
        done(output="b.jpg"),
        done(output="a.jpg"),
        done("-", "-"),
        done("-", "-"),
    ]
    file = tmp_path / "manifest.jsonl"
    text = "\n".join(json.dumps(line) for line in lines)
    file.write_text(f'{text}\n\n{{"input": "cut o')
    records = read_records(file)
    assert [(r["output"], r["status"]) for r in records] == [
        ("b.jpg", "done"), ("a.jpg", "done"), ("-", "done"), ("-", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["no JSON\n\n", '{"output": "x"}\n', "[1]\n"])
def test_a_file_of_something_else_is_refused_by_line(tmp_path, text):
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(UsageError, match=r"x\.jsonl:1: is no"):
        read_records(tmp_path / "x.jsonl")
    with pytest.raises(UsageError, match="cannot be read"):
        read_records(tmp_path / "none.jsonl")
