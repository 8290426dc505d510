from pathlib import Path

import pytest

from editar_cli.training.datasets import SCHEMAS
from editar_cli.training.datasets._schema import BadRowError, encoded, words
from tests.training.pair_files import picture, published_rows

PUBLISHED = [name for name, schema in SCHEMAS.items() if schema.repository]


def test_a_picture_is_bytes_a_path_or_a_dict_of_either(tmp_path: Path):
    file = tmp_path / "a.png"
    file.write_bytes(picture(1))
    for value in (
        picture(1), bytearray(picture(1)), file, str(file),
        {"bytes": picture(1), "path": None}, {"bytes": None, "path": str(file)},
    ):  # fmt: skip
        assert encoded({"image": value}, "image") == picture(1)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", "unreadable"),
        (None, "missing"),
        ({"bytes": None, "path": None}, "missing"),
        (Path("none.png"), "unreadable"),
        (3, "missing"),
    ],
)
def test_a_picture_that_is_not_there_is_a_bad_row(value: object, kind: str):
    with pytest.raises(BadRowError) as found:
        encoded({"image": value}, "image")
    assert found.value.kind == kind


def test_words_are_taken_as_written_from_the_first_column_that_has_any():
    row = {"long": "  ", "short": " A cat. ", "number": 3}
    assert words(row, "long", "short") == " A cat. "
    for names in (["long"], ["number"], ["none"]):
        with pytest.raises(BadRowError) as found:
            words(row, *names)
        assert found.value.kind == "empty"


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_rows_have_the_columns_that_their_schema_asks_for(kind: str):
    (row,) = published_rows(kind, 1)
    assert SCHEMAS[kind].missing(set(row)) == []
    for column in row:
        left = {name for name in row if name != column}
        needed = any(column in need.split("|") for need in SCHEMAS[kind].columns)
        alone = needed and column not in ("prompt", "detailed_prompt")
        assert bool(SCHEMAS[kind].missing(left)) == alone, column
