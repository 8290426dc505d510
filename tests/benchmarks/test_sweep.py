"""Grids of settings, and what is made of their runs: table, plot and record."""

import json

import pytest

from editar_cli.benchmarks.sweep import (
    Axis,
    GridPoint,
    SweepResult,
    grid,
    parse_axes,
    read_point,
    write_sweep,
)
from editar_cli.errors import UsageError

FLAGS = ("guidance", "top-k", "seed", "model", "image-guidance")


def run(folder, point, rows, benchmark="mini", seconds=12.0):
    """A run's results as far as a sweep reads them."""
    record = {"benchmark": benchmark, "seconds": seconds, "rows": rows, "local_rows": []}
    (folder / point.folder).mkdir(parents=True)
    (folder / point.folder / "results.json").write_text(json.dumps(record))
    return read_point(folder / point.folder, point)


def mini_rows(ratios, edges, changed=()):
    rows = [
        {"photo": str(i), "family": "snow", "ratio": ratio, "edges": edge, "changed": None}
        for i, (ratio, edge) in enumerate(zip(ratios, edges, strict=True))
    ]
    for i, share in enumerate(changed):
        same = {"photo": str(i), "family": "unchanged", "ratio": None, "edges": None}
        rows.append({**same, "changed": share})
    return rows


def test_axes_are_read_as_they_are_written():
    assert parse_axes(["guidance=1,1.5", "--top_k=10"], FLAGS) == [
        Axis(flag="guidance", values=("1", "1.5")),
        Axis(flag="top-k", values=("10",)),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["guidance"], "must be NAME=VALUE"),
        (["guidance=1,,2"], "must be NAME=VALUE"),
        (["colour=1"], "must be one of guidance, top-k"),
        (["guidance=1,1"], "a value is given twice"),
        (["guidance=1", "guidance=2"], "guidance is given twice"),
    ],
)
def test_what_is_no_axis_is_refused(words, said):
    with pytest.raises(UsageError, match=said):
        parse_axes(words, FLAGS)


def test_a_grid_has_every_combination_and_a_folder_for_each():
    points = grid(parse_axes(["guidance=1,3", "seed=0,1"], FLAGS))
    assert [point.values for point in points] == [
        {"guidance": "1", "seed": "0"}, {"guidance": "1", "seed": "1"},
        {"guidance": "3", "seed": "0"}, {"guidance": "3", "seed": "1"},
    ]  # fmt: skip
    assert [point.folder for point in points][:2] == ["guidance-1_seed-0", "guidance-1_seed-1"]
    assert points[3].title == "guidance 3, seed 1"


def test_models_of_one_name_have_folders_of_their_own():
    points = grid(parse_axes(["model=a/mini,b/mini,c d"], FLAGS))
    assert [point.folder for point in points] == ["model-mini", "model-mini~2", "model-c-d"]


def test_a_table_a_record_and_a_plot_come_of_the_points(tmp_path):
    axes = parse_axes(["guidance=1,3"], FLAGS)
    first, second = grid(axes)
    result = SweepResult(
        axes=axes,
        points=[
            run(tmp_path, first, mini_rows([0.9, 0.7], [0.8, 0.8], [0.02, 0.04])),
            run(tmp_path, second, mini_rows([0.5, 0.3], [0.6, 0.7], [0.08, 0.12]), seconds=20.4),
        ],
    )
    headers, rows = result.table()
    headings = ("way gone %", "left alone %", "edges kept %", "mean ratio")
    assert headers == ("guidance", *headings, "seconds")
    assert rows == [
        ("1", "20 [10, 30]", "97 [96, 98]", "80 [80, 80]", "0.8 [0.7, 0.9]", "12"),
        ("3", "60 [50, 70]", "90 [88, 92]", "65 [60, 70]", "0.4 [0.3, 0.5]", "20"),
    ]
    (series,) = result.plot().series
    assert [(spot.x, spot.y) for spot in series.spots] == [
        pytest.approx((20, 97)), pytest.approx((60, 90))
    ]  # fmt: skip
    assert [spot.label for spot in series.spots] == ["guidance 1", "3"]
    assert series.joined
    assert series.spots[0].x_bounds == pytest.approx((10, 30))
    write_sweep(tmp_path, result)
    record = json.loads((tmp_path / "sweep.json").read_text())
    assert record["sweep"] == {"guidance": ["1", "3"]}
    assert record["points"][1]["folder"] == "guidance-3"
    assert record["points"][1]["figures"]["changed"]["mean"] == pytest.approx(0.1)
    assert "| 3 | 60 [50, 70] |" in (tmp_path / "sweep.md").read_text()
    assert (tmp_path / "sweep.svg").read_text().startswith("<svg")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_axis_makes_more_series_and_names_are_not_joined(tmp_path):
    axes = parse_axes(["model=a,b", "guidance=1,3"], FLAGS)
    points = [run(tmp_path, point, mini_rows([0.5, 0.6], [0.7, 0.8])) for point in grid(axes)]
    series = SweepResult(axes=axes, points=points).plot().series
    assert [one.name for one in series] == ["guidance 1", "guidance 3"]
    assert [[spot.label for spot in one.spots] for one in series] == [["model a", "b"]] * 2
    assert not series[0].joined
    # Nothing was asked without a change: what is kept is told by edges.
    assert series[0].spots[0].y == pytest.approx(75)
    assert not Axis(flag="seed", values=("1", "2")).ordered


def test_without_clip_there_is_a_table_and_no_plot(tmp_path):
    axes = parse_axes(["guidance=1"], FLAGS)
    values = {
        "psnr_unedit_part": 20.0,
        "mse_unedit_part": 0.01,
        "clip_similarity_target_image_edit_part": None,
    }
    rows = [{"key": str(i), "type": 0, "values": values} for i in range(3)]
    point = run(tmp_path, grid(axes)[0], rows, benchmark="pie-bench")
    result = SweepResult(axes=axes, points=[point])
    assert result.plot() is None and result.missing() == ["CLIP edited"]
    write_sweep(tmp_path, result)
    assert not (tmp_path / "sweep.svg").exists()
    headers, (row,) = result.table()
    assert headers == ("guidance", "CLIP edited", "PSNR", "MSE x1e4", "seconds")
    assert row == ("1", "missing", "20 [20, 20]", "100 [100, 100]", "12")


def test_a_point_that_left_nothing_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_point(tmp_path / "none", GridPoint(values={"guidance": "1"}, folder="none"))
