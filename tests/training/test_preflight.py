import json
from pathlib import Path

import pytest

from editar_cli.training.mixture import PairSet, open_sets
from editar_cli.training.preflight import DataReport, check_sets
from editar_cli.training.recipe import DataConfig
from tests.training.pair_files import (
    picture,
    published_rows,
    write_arrow,
    write_folder,
    write_shards,
    write_tar,
)


def opened(*entries: DataConfig, base: Path) -> list[PairSet]:
    return open_sets(entries, base, lambda name, why: None)


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Twelve pairs: 1 is cut short, 3 has no target, 4 another shape, 6 no words, 8 is 7 again."""
    folder = write_folder(tmp_path / "pairs", 12)
    (folder / "source" / "p001.png").write_bytes(picture(2)[:300])
    (folder / "target" / "p003.png").unlink()
    (folder / "target" / "p004.png").write_bytes(picture(9, (30, 40)))
    for half in ("source", "target"):
        content = (folder / half / "p007.png").read_bytes()
        (folder / half / "p008.png").write_bytes(content)
    lines = [
        "file,instruction",
        *(f"p{i:03d},edit {7 if i == 8 else i}" for i in range(12) if i != 6),
    ]
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder


def test_everything_that_is_wrong_is_found_and_nothing_else(faulty: Path):
    sets = opened(DataConfig(kind="folder"), base=faulty)
    found = check_sets(sets, limit=100, workers=2)
    assert [(f.row, f.kind, f.index) for f in found.findings] == [
        ("p001", "unreadable", 1),
        ("p003", "missing", 3),
        ("p004", "size", 4),
        ("p006", "empty", 6),
        ("p008", "duplicate", 8),
    ]
    assert found.bad_rows("folder") == [1, 3, 4, 6, 8] and found.bad_rows("other") == []
    assert found.sets[0].looked_at == found.sets[0].rows == 12
    assert found.findings[-1].detail == "is p007 once more"


def test_one_picture_with_two_instructions_is_no_duplicate(tmp_path: Path):
    folder = write_folder(tmp_path / "pairs", 2)
    for half in ("source", "target"):
        (folder / half / "p001.png").write_bytes((folder / half / "p000.png").read_bytes())
    sets = opened(DataConfig(kind="folder"), base=folder)
    assert check_sets(sets, limit=100, workers=1).findings == ()


def test_the_report_is_written_for_people_and_for_programs(faulty: Path, tmp_path: Path):
    found = check_sets(opened(DataConfig(kind="folder"), base=faulty), limit=100, workers=1)
    found.write(tmp_path)
    text = (tmp_path / "data.txt").read_text()
    assert text == found.text()
    assert text.startswith(f"folder: 12 of 12 rows looked at in {faulty}, 5 bad\n")
    assert "1 pairs whose halves do not lie on each other" in text
    assert "p004: source of 48 x 36 px, target of 30 x 40" in text
    stored = json.loads((tmp_path / "data.json").read_text())
    assert stored["sets"][0] == {
        "data": "folder", "where": str(faulty), "rows": 12, "looked_at": 12,
    }  # fmt: skip
    assert [f["kind"] for f in stored["findings"]] == [f.kind for f in found.findings]


def test_of_a_large_table_evenly_spaced_rows_are_looked_at(tmp_path: Path):
    rows = published_rows("seed-data-edit", 20)
    for i in (0, 10, 19):
        rows[i]["instruction"] = ""
    sets = opened(DataConfig(kind="seed-data-edit"), base=write_arrow(tmp_path / "set", rows))
    told: list[tuple[int, int]] = []
    found = check_sets(sets, limit=3, workers=1, report=lambda *seen: told.append(seen))
    assert found.bad_rows("seed-data-edit") == [0, 19]
    assert found.sets[0].looked_at == 3 and told == [(3, 3)]


def test_of_shards_the_first_rows_are_looked_at_and_broken_ones_named(tmp_path: Path):
    folder = write_shards(tmp_path / "set", [3, 3])
    write_tar(folder / "00002.tar", [("9.source.png", picture(1)), ("9.txt", b"edit")])
    entry = DataConfig(kind="webdataset")
    found = check_sets(opened(entry, base=folder), limit=4, workers=1)
    assert (found.sets[0].looked_at, found.sets[0].rows, found.findings) == (4, None, ())
    found = check_sets(opened(entry, base=folder), limit=50, workers=1)
    assert [(f.row, f.kind) for f in found.findings] == [("00002.tar:9", "missing")]
    assert "7 of ? rows" in found.text()


def test_many_findings_are_cut_short_for_people_alone():
    from editar_cli.training.preflight import Checked, Finding

    findings = [
        Finding(data="x", row=str(i), index=i, kind="empty", detail="is empty") for i in range(30)
    ]
    checked = Checked(data="x", where="there", rows=30, looked_at=30)
    text = DataReport(sets=(checked,), findings=tuple(findings)).text()
    assert text.count("is empty") == 20 and "... and 10 more in data.json" in text
