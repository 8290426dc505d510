import csv
import json

import numpy as np
import pytest

from editar_cli.benchmarks.local import LocalRow, summarise_local
from editar_cli.benchmarks.mini import MiniResult, Row, summarise
from editar_cli.benchmarks.report import (
    GAP,
    HEADERS,
    TILE,
    bundle_sums,
    contact_sheet,
    identity_lines,
    markdown,
    summary,
    table_rows,
    write_report,
)
from editar_cli.checkpoints.native import sha256_of


def row(photo, family, ratio, *, edges=None, changed=None, output=2.0):
    return Row(
        photo=photo, family=family, instruction='say "please", now', seed=5, source_colour=3.0,
        source_gradient=1.0, output_colour=output, output_gradient=0.5, ratio=ratio, edges=edges,
        truth_edges=edges, changed=changed,
    )  # fmt: skip


def tile(value, height=40, width=60):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def result():
    rows = [
        row("a.jpg", "fog", 0.95, edges=0.5),
        row("b.jpg", "fog", 0.85, edges=0.7),
        row("a.jpg", "blur", 0.25),
        row("b.jpg", "blur", None),
        row("a.jpg", "sepia", None, edges=1.0),
        row("a.jpg", "unchanged", None, edges=1.0, changed=0.01),
        row("b.jpg", "unchanged", None, edges=1.0, changed=0.03, output=3.0),
    ]
    names = ("fog", "blur", "sepia", "unchanged")
    return MiniResult(
        rows=rows,
        families=[summarise(name, [r for r in rows if r.family == name]) for name in names],
        sheet={name: [(tile(0), tile(100), tile(200))] for name in names},
    )


def test_the_table_has_the_best_family_first_and_no_identity(result):
    assert table_rows(result.families) == [
        ("blur", "1", "1", "0.25", "100 %", "yes", "-", "-"),
        ("fog", "2", "0", "0.90", "50 %", "no", "0.60", "0.60"),
        ("sepia", "0", "1", "-", "-", "no", "1.00", "1.00"),
    ]


def test_the_identity_is_a_sentence(result):
    assert identity_lines(result.families) == [
        "unchanged: mean distance to the source 3.00, 2.0 % of pixels visibly changed, "
        "2 photographs"
    ]


def test_the_markdown_table_is_one_and_its_heading_counts(result):
    lines = markdown(result).splitlines()
    assert lines[0].startswith("1 of 3 families count")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5
    assert {line.count("|") for line in table} == {len(HEADERS) + 1}
    assert table[2] == "| blur | 1 | 1 | 0.25 | 100 % | yes | - | - |"
    assert lines[-1].startswith("Unchanged: mean distance")


def test_the_summary_counts_what_was_judged(result):
    assert summary(result) == {
        "photos": 2,
        "edits": 7,
        "judged": 3,
        "families": 3,
        "counted": 1,
        "counting": ["blur"],
        "median_ratio": 0.85,
        "share_below": pytest.approx(2 / 3),
        "identity_changed": 0.02,
    }


def with_local(rows, families):
    local = [
        LocalRow(
            photo="c.jpg", family="removal", instruction="remove the dog", seed=1, share=0.1,
            source_inside=20.0, output_inside=5.0, psnr_outside=31.5,
        )
    ]  # fmt: skip
    return MiniResult(
        rows=rows, families=families, sheet={"removal": [(tile(0), tile(100), tile(200))]},
        local_rows=local, local_families=[summarise_local("removal", local)],
    )  # fmt: skip


def test_local_edits_stand_behind_the_looks(result, tmp_path):
    both = with_local(result.rows, result.families)
    assert summary(both)["photos"] == 3 and summary(both)["edits"] == 8
    assert summary(both)["local"] == {"removal": {"edits": 1, "nearer": 1.0, "psnr_outside": 31.5}}
    lines = markdown(both).splitlines()
    assert lines[0].startswith("1 of 3 families count")
    assert lines[-1] == "| removal | 1 | 100 % | 0.25 | 31.5 dB |"
    write_report(tmp_path, both, {})
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["local_families"][0]["nearer"] == 1.0
    assert record["local_rows"][0]["instruction"] == "remove the dog"
    with (tmp_path / "local.csv").open(newline="") as stream:
        assert [r["output_inside"] for r in csv.DictReader(stream)] == ["5.0"]


def test_local_edits_may_stand_alone(tmp_path):
    alone = with_local([], [])
    assert markdown(alone).startswith("Edits of a part of the picture")
    assert summary(alone)["median_ratio"] is None
    write_report(tmp_path, alone, {})


def test_a_result_without_any_judged_photograph_is_still_one():
    rows = [row("a.jpg", "fog", None, edges=1.0)]
    nothing = MiniResult(rows=rows, families=[summarise("fog", rows)], sheet={})
    assert summary(nothing)["median_ratio"] is None
    assert markdown(nothing).startswith("0 of 1 families count")


def test_four_files_are_left_that_say_the_same(result, tmp_path):
    write_report(tmp_path, result, {"model": "tiny", "settings": {"seed": 3}})
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"results.json", "rows.csv", "table.md", "sheet.png"}
    record = json.loads((tmp_path / "results.json").read_text())
    assert (record["benchmark"], record["model"], record["settings"]) == (
        "mini", "tiny", {"seed": 3}
    )  # fmt: skip
    assert record["summary"]["counting"] == ["blur"]
    assert {"editar", "torch", "numpy", "opencv"} <= record["versions"].keys()
    with (tmp_path / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(record["rows"]) == 7
    assert rows[0]["instruction"] == record["rows"][0]["instruction"] == 'say "please", now'
    assert float(rows[1]["ratio"]) == record["rows"][1]["ratio"] == 0.85
    assert rows[3]["ratio"] == ""
    assert record["rows"][3]["ratio"] is None


def test_the_sheet_shows_whole_frames_in_rows_of_source_truth_and_output():
    sheet = contact_sheet(
        {
            "fog": [(tile(10), tile(20), tile(30)), (tile(40), tile(50), tile(60))],
            "blur": [(tile(70, 300, 200),) * 3] * 2,
        }
    )
    group = 3 * (TILE + GAP) + 2 * GAP
    assert sheet.size == (TILE + 2 * group, 16 + 2 * (TILE + GAP))

    def middle(x, y):
        return sheet.getpixel(
            (TILE + x // 3 * group + x % 3 * (TILE + GAP) + TILE // 2, 16 + y * (TILE + GAP) + 64)
        )

    assert [middle(x, 0)[0] for x in range(6)] == [10, 20, 30, 40, 50, 60]
    assert [middle(x, 1)[0] for x in range(6)] == [70] * 6
    # 300 x 200 is shown whole: 85 px wide, 128 high.
    edge = TILE + (TILE - 85) // 2
    assert sheet.getpixel((edge - 2, 16 + TILE + GAP + 64)) == (255, 255, 255)
    assert sheet.getpixel((edge + 2, 16 + TILE + GAP + 1)) == (70, 70, 70)
    low = contact_sheet({"fog": [(tile(10, 100, 200),) * 3]})
    assert low.height == 16 + 64 + GAP


def test_the_sums_are_those_of_the_files_a_model_is_loaded_from(tiny_bundle):
    sums = bundle_sums(tiny_bundle)
    assert {"config.json", "transformer.safetensors", "tokenizer.safetensors"} < sums.keys()
    assert any(name.startswith("text/") for name in sums)
    assert "SHA256SUMS" not in sums
    assert sums["config.json"] == sha256_of(tiny_bundle / "config.json")
