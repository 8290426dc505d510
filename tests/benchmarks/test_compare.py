"""Comparing runs: picture by picture, over the layouts of the benchmarks' results."""

import json

import pytest

from editar_cli.benchmarks.compare import compare, comparison_table, read_run
from editar_cli.errors import UsageError


def write(folder, benchmark, rows, **more):
    folder.mkdir()
    record = {"benchmark": benchmark, "rows": rows, **more}
    (folder / "results.json").write_text(json.dumps(record))
    return folder


def pie(folder, values):
    rows = [{"key": str(i), "values": {"psnr": v, "clip": None}} for i, v in enumerate(values)]
    return write(folder, "pie-bench", rows)


def test_a_difference_of_pairs_is_found_and_chance_is_not(tmp_path):
    first = pie(tmp_path / "a", [20.0, 30.0, 25.0, 22.0, 28.0, 24.0])
    better = pie(tmp_path / "b", [21.0, 31.2, 26.1, 22.9, 29.0, 25.1])
    chance = pie(tmp_path / "c", [20.1, 29.9, 25.1, 21.9, 28.1, 23.9])
    runs = [read_run(folder) for folder in (first, better, chance)]
    (found,) = compare(runs)
    assert found.figure == "psnr"
    assert [difference.real for difference in found.differences] == [True, False]
    assert found.differences[0].mean == pytest.approx(1.05)
    headers, rows = comparison_table(runs, [found])
    assert len(headers) == len(rows[0]) == 10
    assert rows[0][0] == "psnr" and rows[0][6] == "yes" and rows[0][9] == "no"


def test_infinite_values_and_rows_of_one_run_are_no_pairs(tmp_path):
    first = pie(tmp_path / "a", ["inf", 30.0, 25.0])
    second = pie(tmp_path / "b", [20.0, 31.0, 26.0, 27.0])
    (found,) = compare([read_run(first), read_run(second)])
    assert found.differences[0].pairs == 2


def test_rows_of_the_other_benchmarks_are_told_apart(tmp_path):
    rows = [
        {"photo": "a.jpg", "family": f, "seed": 5, "instruction": "x", "ratio": 0.5, "edges": None}
        for f in ("snow", "fog")
    ]
    run = read_run(write(tmp_path / "m", "mini", rows))
    assert run.figures["ratio"] == {"a.jpg / snow": 0.5, "a.jpg / fog": 0.5}
    assert "seed" not in run.figures and "instruction" not in run.figures
    modes = [{"mode": "canny", "rows": [{"photo": "a.jpg", "output": {"f1": 0.25}}]}]
    run = read_run(write(tmp_path / "t", "translate", [], modes=modes))
    assert run.figures == {"f1": {"canny / a.jpg": 0.25}}


def test_what_cannot_be_compared_is_refused(tmp_path):
    first = pie(tmp_path / "a", [1.0])
    with pytest.raises(UsageError, match="two runs or more"):
        compare([read_run(first)])
    other = write(tmp_path / "m", "mini", [{"photo": "a", "family": "b", "psnr": 1.0}])
    with pytest.raises(UsageError, match="mini and pie-bench cannot be compared"):
        compare([read_run(first), read_run(other)])
    strange = write(tmp_path / "x", "pie-bench", [{"key": "z", "values": {"psnr": 1.0}}])
    with pytest.raises(UsageError, match="no row in common"):
        compare([read_run(first), read_run(strange)])
    with pytest.raises(UsageError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "a" / "results.json").write_text("{}")
    with pytest.raises(UsageError, match="is no result of"):
        read_run(first)
