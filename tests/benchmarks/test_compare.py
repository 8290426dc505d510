"""Comparing runs: picture by picture, over the layouts of the benchmarks' results."""

import json

import numpy as np
import pytest

from editar_cli.benchmarks.compare import (
    compare,
    comparison_record,
    comparison_table,
    conclusion,
    read_run,
)
from editar_cli.errors import UsageError


def write(folder, benchmark, rows, **more):
    folder.mkdir()
    record = {"benchmark": benchmark, "rows": rows, **more}
    (folder / "results.json").write_text(json.dumps(record))
    return folder


def pie(folder, values):
    rows = [
        {"key": str(i), "type": 1, "values": {"psnr_unedit_part": v, "clip": None}}
        for i, v in enumerate(values)
    ]
    return write(folder, "pie-bench", rows)


FAMILIES = ("snow", "fog", "sepia", "night")


def mini(folder, ratio, photos=16, seed=0):
    """A run of `bench mini` with `ratio(family)` and chance around it; edges stay as they are."""
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(100).normal(0, 0.2, (photos, len(FAMILIES)))
    rows = [
        {
            "photo": f"{i}.jpg",
            "family": family,
            "instruction": "x",
            "seed": 5,
            "ratio": ratio(family) + hard[i, j] + rng.normal(0, 0.05),
            "edges": 0.8 + rng.normal(0, 0.05),
            "changed": None,
        }
        for i in range(photos)
        for j, family in enumerate(FAMILIES)
    ]
    return write(folder, "mini", rows, local_rows=[])


def test_a_difference_of_pairs_is_found_and_chance_is_not(tmp_path):
    first = pie(tmp_path / "a", [20.0, 30.0, 25.0, 22.0, 28.0, 24.0, 21.0, 26.0])
    better = pie(tmp_path / "b", [21.0, 31.2, 26.1, 22.9, 29.0, 25.1, 22.0, 27.1])
    chance = pie(tmp_path / "c", [20.1, 29.9, 25.1, 21.9, 28.1, 23.9, 21.1, 25.9])
    runs = [read_run(folder) for folder in (first, better, chance)]
    (found,) = compare(runs)
    assert (found.figure, found.group) == ("psnr_unedit_part", None)
    assert [difference.real for difference in found.differences] == [True, False]
    assert found.verdicts() == ["better", "no"]
    assert found.differences[0].mean == pytest.approx(1.05)
    # 2 of 256 sign patterns, for two comparisons.
    assert found.differences[0].p == 2 * 2 / 256
    headers, rows = comparison_table(runs, [found])
    assert len(headers) == len(rows[0]) == 12
    assert rows[0][0] == "psnr_unedit_part" and rows[0][7] == "better" and rows[0][11] == "no"


def test_two_runs_that_differ_by_chance_alone_do_not_differ(tmp_path):
    runs = [read_run(mini(tmp_path / str(s), lambda family: 0.6, seed=s)) for s in (1, 2)]
    found = compare(runs)
    assert {one.group for one in found} == {None, *FAMILIES}
    assert not any(one.differences[0].real for one in found)
    (line,) = conclusion(runs, found)
    assert line == (
        f"{runs[1].name}: no difference over all rows is real; 0 of 12 differences by group are"
    )


def test_what_differs_is_found_in_its_family_and_nowhere_else(tmp_path):
    first = read_run(mini(tmp_path / "a", lambda family: 0.6, seed=1))
    second = read_run(mini(tmp_path / "b", lambda family: 0.6 - 0.3 * (family == "snow"), seed=2))
    found = compare([first, second])
    real = {(one.group, one.figure) for one in found if one.differences[0].real}
    assert real == {(None, "way"), (None, "ratio"), ("snow", "way"), ("snow", "ratio")}
    snow = next(one for one in found if (one.group, one.figure) == ("snow", "ratio"))
    assert snow.differences[0].mean == pytest.approx(-0.3, abs=0.05)
    assert snow.verdicts() == ["better"], "a lower ratio is nearer to the truth"
    assert [mean.count for mean in snow.means] == [16, 16]
    (line,) = conclusion([first, second], found)
    assert "real over all rows are way (better), ratio (better); 2 of 12 differences" in line
    record = comparison_record([first, second], found)
    assert record["comparisons"] == {"overall": 3, "groups": 12}
    figures = json.loads(json.dumps(record))["figures"]
    assert figures["ratio"]["groups"]["snow"]["differences"][0]["verdict"] == "better"
    assert figures["edges"]["differences"][0]["real"] is False


def test_of_many_families_those_that_pass_by_chance_are_not_called_real(tmp_path):
    # Noise alone: one interval of twenty leaves 0 out all the same.
    rng = np.random.default_rng(0)
    folders = []
    for name in "ab":
        rows = [
            {
                "photo": f"{i}",
                "family": f"f{j}",
                "ratio": rng.normal(),
                "edges": None,
                "changed": None,
            }
            for i in range(16)
            for j in range(60)
        ]
        folders.append(write(tmp_path / name, "mini", rows, local_rows=[]))
    found = compare([read_run(folder) for folder in folders])
    intervals = [one.differences[0] for one in found if one.group is not None]
    assert sum(not d.low <= 0 <= d.high for d in intervals) >= 2
    assert not any(d.real for d in intervals)


def test_too_few_photographs_for_a_verdict_by_family_are_told(tmp_path):
    runs = [
        read_run(mini(tmp_path / str(s), lambda family, s=s: 0.9 - 0.3 * s, photos=4, seed=s))
        for s in (0, 1)
    ]
    lines = conclusion(runs, compare(runs))
    assert "real over all rows are way (better), ratio (better); 0 of 12" in lines[0]
    assert lines[1] == (
        "groups have too few pairs for any verdict: among 12 comparisons at least 9 are needed"
    )


def test_infinite_values_and_rows_of_one_run_are_no_pairs(tmp_path):
    first = pie(tmp_path / "a", ["inf", 30.0, 25.0])
    second = pie(tmp_path / "b", [20.0, 31.0, 26.0, 27.0])
    runs = [read_run(first), read_run(second)]
    (found,) = compare(runs)
    assert found.differences[0].pairs == 2
    figure = json.loads(json.dumps(comparison_record(runs, [found]), allow_nan=False))["figures"]
    assert figure["psnr_unedit_part"]["means"][0]["mean"] == "inf"


def test_rows_of_the_other_benchmarks_are_told_apart(tmp_path):
    rows = [
        {"photo": "a.jpg", "family": f, "seed": 5, "ratio": 0.5, "edges": None, "changed": None}
        for f in ("snow", "fog")
    ]
    local = {
        "photo": "a.jpg",
        "family": "removal",
        "source_inside": 8.0,
        "output_inside": 2.0,
        "psnr_outside": 30.0,
    }
    run = read_run(write(tmp_path / "m", "mini", rows, local_rows=[local]))
    assert run.figures == ["way", "ratio", "edges", "changed", "ratio_inside", "psnr_outside"]
    assert run.groups == ["snow", "fog", "removal"]
    assert run.values("ratio") == {"a.jpg / snow": 0.5, "a.jpg / fog": 0.5}
    assert run.values("ratio_inside") == {"a.jpg / removal": 0.25}
    assert run.mean("ratio", "fog").count == 1
    modes = [{"mode": "canny", "rows": [{"photo": "a.jpg", "output": {"f1": 0.25}}]}]
    run = read_run(write(tmp_path / "t", "translate", [], modes=modes))
    assert run.values("f1", "canny") == {"canny / a.jpg": 0.25}


def test_what_cannot_be_compared_is_refused(tmp_path):
    first = pie(tmp_path / "a", [1.0])
    with pytest.raises(UsageError, match="two runs or more"):
        compare([read_run(first)])
    other = mini(tmp_path / "m", lambda family: 0.5)
    with pytest.raises(UsageError, match="mini and pie-bench cannot be compared"):
        compare([read_run(first), read_run(other)])
    row = {"key": "z", "type": 1, "values": {"psnr_unedit_part": 1.0}}
    strange = write(tmp_path / "x", "pie-bench", [row])
    with pytest.raises(UsageError, match="no row in common"):
        compare([read_run(first), read_run(strange)])
    with pytest.raises(UsageError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "a" / "results.json").write_text("{}")
    with pytest.raises(UsageError, match="is no result of"):
        read_run(first)


def test_the_way_is_gone_from_none_to_all_of_it(tmp_path):
    rows = [
        {"photo": str(i), "family": "snow", "ratio": ratio, "edges": None, "changed": None}
        for i, ratio in enumerate((0.25, 1.0, 6.0, None))
    ]
    run = read_run(write(tmp_path / "m", "mini", rows, local_rows=[]))
    assert list(run.values("way").values()) == [0.75, 0.0, 0.0, None]
    assert run.mean("way").mean == 0.25


def test_groups_that_cannot_be_told_apart_do_not_hide_a_difference_over_all_rows(tmp_path):
    # p of 8 pairs of one sign is 2 / 256: enough for 3 figures, not for 12 groups more.
    rng = np.random.default_rng(0)
    folders = []
    for name, shift in (("a", 0.0), ("b", -0.2)):
        rows = [
            {
                "photo": str(i),
                "family": FAMILIES[i % 4],
                "ratio": 0.5 + shift + rng.normal(0, 0.01),
                "edges": None,
                "changed": None,
            }
            for i in range(8)
        ]
        folders.append(write(tmp_path / name, "mini", rows, local_rows=[]))
    found = compare([read_run(folder) for folder in folders])
    assert {(one.group, one.figure) for one in found if one.differences[0].real} == {
        (None, "way"), (None, "ratio")
    }  # fmt: skip
    assert found[0].differences[0].p == 2 * 2 / 256
