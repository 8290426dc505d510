import json

import pytest

from editar_cli.training.datasets._schema import BadRowError
from editar_cli.training.datasets.shards import SCHEMA

TEXTS = [
    {"txt": b"edit"},
    {"json": json.dumps({"instruction": "edit"}).encode()},
    {"instruction.txt": b"edit"},
    {"json": json.dumps({"caption": "edit", "id": 3}).encode()},
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("first", "second"), [("source.jpg", "target.png"), ("input.webp", "output.jpg")]
)
def test_members_are_told_by_the_first_part_of_their_extension(text, first, second):
    row = {"__key__": "0001", first: b"1", second: b"2", **text}
    pair = SCHEMA.pair(row, 0.0)
    assert (pair.source, pair.target, pair.instruction) == (b"1", b"2", "edit")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"source.png": None}, "missing"),
        ({"txt": b" "}, "empty"),
        ({"txt": b"\xff\xfe"}, "unreadable"),
        ({"json": b"{"}, "unreadable"),
        ({"json": b"[]"}, "empty"),
    ],
)
def test_an_incomplete_sample_is_a_bad_row(changes, kind):
    row = {"__key__": "1", "source.png": b"1", "target.png": b"2", "txt": b"edit", **changes}
    with pytest.raises(BadRowError) as found:
        SCHEMA.pair(row, 0.0)
    assert found.value.kind == kind
