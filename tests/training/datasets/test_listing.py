import json
from pathlib import Path

import pytest

from editar_cli.errors import TrainingError
from editar_cli.training.datasets.listing import SCHEMA
from tests.training.pair_files import picture


def rows(file: Path, *instructions: str):
    assert SCHEMA.files is not None
    return SCHEMA.files(file, instructions)


def test_paths_are_relative_to_the_list_or_absolute(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(picture(0))
    (tmp_path / "1.png").write_bytes(picture(1))
    records = [
        {"source": "a/0.png", "target": str(tmp_path / "1.png"), "instruction": "edit"},
        {"input": "a/0.png", "output": "1.png"},
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    for row, text in zip(rows(file, "for all"), ("edit", "for all"), strict=True):
        pair = SCHEMA.pair(row, 0.0)
        assert (pair.source, pair.target, pair.instruction) == (picture(0), picture(1), text)


def test_a_csv_will_do(tmp_path: Path):
    file = tmp_path / "pairs.csv"
    file.write_text('source,target,instruction\n0.png,1.png,"night, with rain"\n')
    (row,) = rows(file)
    assert row["source"] == tmp_path / "0.png" and row["instructions"] == ["night, with rain"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"source": "a.png"}\n', r"pairs\.jsonl:1: must name a source and a target"),
        ("", r"pairs\.jsonl: names no pairs"),
        ("nonsense\n", r"pairs\.jsonl: cannot be read"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, text: str, said: str):
    file = tmp_path / "pairs.jsonl"
    file.write_text(text)
    with pytest.raises(TrainingError, match=said):
        rows(file)
