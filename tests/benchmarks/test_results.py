"""Tables and files of a benchmark of pictures, from rows that are made up."""

import csv
import json

import pytest
from PIL import Image

from editar_cli.benchmarks.results import (
    Column,
    Published,
    Result,
    Row,
    headers,
    markdown,
    mean_values,
    summary,
    table,
    write_results,
)
from editar_cli.benchmarks.statistics import Mean

INFINITE = float("inf")


@pytest.fixture
def result(tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), "teal").save(picture)
    shown = {"source": picture, "output": picture}
    return Result(
        benchmark="made-up",
        title="Made up <here>",
        label="this run",
        columns=(
            Column(name="error", title="Error x1e2", better="lower", scale=100),
            Column(name="likeness", title="PSNR", better="higher"),
            Column(name="fid", title="FID", better="lower", of_set=True, digits=1),
        ),
        rows=[
            Row(key="a", values={"error": 0.1, "likeness": 20.0}, pictures=shown, type="sky"),
            Row(key="b", values={"error": 0.3, "likeness": INFINITE}, pictures=shown, type="sea",
                text="make it <blue>", facts={"image": "b.png"}),
            Row(key="c", values={"error": None, "likeness": None}, type="sky", error="c: is gone"),
        ],
        whole={"fid": Mean(mean=12.34, low=None, high=None, count=3, missing=0)},
        missing={"clip": "no weights"},
        published=Published(columns=("fid",), rows={"Paper": (9.5,), "Other": (None,)},
                            source="a table"),
    )  # fmt: skip


def test_the_table_has_this_run_then_its_kinds_then_papers(result):
    assert headers(result) == ("", "pictures", "Error x1e2", "PSNR", "FID")
    own, sky, sea, paper, other = table(result)
    assert own[:2] == ("this run", "3") and own[2].startswith("20.00 [") and own[4] == "12.3"
    assert own[3] == "inf"
    assert sky[:4] == ("sky", "2", "10.00", "20.00") and sky[4] == ""
    assert sea[:3] == ("sea", "1", "30.00")
    assert paper == ("Paper", "", "?", "?", "9.50") and other[4] == "?"


def test_what_one_of_several_outputs_lacks_is_lacking():
    assert mean_values([{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": None}]) == {"x": 2.0, "y": None}


def test_files_hold_the_same_figures(result, tmp_path):
    write_results(tmp_path, result, {"seed": 3})
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["benchmark"] == "made-up" and record["seed"] == 3
    assert record["means"]["error"]["mean"] == pytest.approx(0.2)
    assert (record["means"]["error"]["count"], record["means"]["error"]["missing"]) == (2, 1)
    assert record["means"]["likeness"]["mean"] == "inf"
    assert record["means"]["fid"]["mean"] == 12.34
    assert list(record["by_type"]) == ["sky", "sea"] and "fid" not in record["by_type"]["sky"]
    assert record["published"]["rows"]["Paper"] == [9.5]
    assert record["rows"][1] == {
        "key": "b", "image": "b.png", "error": None, "values": {"error": 0.3, "likeness": "inf"}
    }  # fmt: skip
    assert (record["pictures"], record["failed"]) == (3, 1)
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert rows[1] == {
        "key": "b", "image": "b.png", "error": "0.3", "likeness": "inf", "why": ""
    }  # fmt: skip
    assert rows[2]["why"] == "c: is gone" and rows[2]["error"] == ""
    text = markdown(result)
    assert (tmp_path / "table.md").read_text() == text
    assert "| Paper |" in text and "Missing: clip: no weights" in text and "a table" in text


def test_the_summary_has_what_scripts_ask_for(result):
    assert summary(result) == {
        "benchmark": "made-up", "title": "Made up <here>", "pictures": 3, "failed": 1,
        "means": {"error": pytest.approx(0.2), "likeness": "inf", "fid": 12.34},
        "missing": ["clip"],
    }  # fmt: skip
